"""Makes and joins the parts of the device: board, storage, clock, Resources, security, update and app. A phase.

What it makes outlives it, so nothing that it hands over is code of its own.
"""

import asyncio

import board_start
from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from ocf import core
from ocf.device import Device
from ocf.pstat import Pstat
from ocf.security import Security
from port import const, phase, urandom
from swupdate import rfc3339
from swupdate.manager import Updater
from swupdate.resource import SoftwareUpdate, UpdateStatus
from swupdate.slots import Slots

from firmware import folder
from firmware.app import App
from firmware.clock import Clock
from firmware.store import Store

_GROUP = "224.0.1.187"  # All OCF Devices (IPv4)
_PORT = const(5683)
_SECURE_PORT = const(5684)
# Whoever answers in the clear answers forged addresses, too. Six Clients may find the Device at once, then one a second.
_CLEAR_RATE = const(4)  # bytes a millisecond
_CLEAR_BURST = const(24576)
_DATAGRAM = const(1500)  # handshakes have longer ones than CoAP's


def join(node):
    """Make the parts of `node` (firmware.node), which has its `board`."""
    board = node.board
    with phase("firmware.provision") as provision:
        p = provision.read()
    root = board_start.mount_data(board)
    with phase("firmware.repair") as damaged:
        damaged.repair(root, lambda: board_start.format_data(board), node.log)
    node.data = folder.made(root + "/app")
    store = node.store = Store(root)
    store.keep_room()
    node.slots = Slots(board)
    label = node.slots.label(node.slots.running) or {}
    node.version = label.get("version", "")
    node.clock = Clock(board, store, label.get("built", 0))
    pstat = node.pstat = Pstat(store)
    cert = p["mfgcert"]
    security = node.security = Security(store, pstat, urandom, {
        "mfgcert": cert and (cert["chain"], cert["key"]), "mfgtrust": p["mfgtrust"], "now": node.clock.now,
        "pin": node.show_pin, "oxms": p["settings"].get("oxms", (0, 1, 2)),
    })  # fmt: skip
    node.ocf = security.device = Device(security, security.uuid)
    settings = node.settings = p["settings"]
    settings["url"] = p["url"]
    settings["schemes"] = node.schemes
    settings["address"] = board.address
    settings["manufactured"] = rfc3339.parse(p["manufactured"])
    updater = node.updater = Updater(
        store, node.clock, node.slots, pstat, node.job, settings, node.reboot, board_start.nvs()
    )  # fmt: skip
    node.app = App(node)
    _add_resources(node, p, label)
    node.ocf.endpoints = node.urls
    pstat.on_tm = updater.target
    pstat.on_state = node._state_changed
    updater.watchers.append(node.tell)
    updater.flush = node.flush
    updater.ask = node.ask


def _add_resources(node, p, label):
    add = node.ocf.add
    add(core.discovery())
    names = node.names = add(core.configuration(node.store))
    add(core.device_info(names, p["name"], p["piid"], node.version))
    add(core.platform(p["piid"], p["manufacturer"], node.version, p["model"], p["manufactured"][:10]))
    add(core.introspection())
    add(core.introspection_data(p["name"], node.version))
    add(node.pstat)
    for resource in node.security.resources:
        add(resource)
    add(core.maintenance(node.pstat.begin_reset, node.restart))
    add(SoftwareUpdate(node.updater, p["settings"].get("href")))
    add(UpdateStatus(node.updater, label))


def _manners(node):
    """What shows and feels, on boards that have it: resident there, and no part of the others' memory."""
    settings = node.settings
    found = []
    try:
        if "led" in settings:
            from firmware import light

            number, active = settings["led"]
            found.append(light.run(node, board_start.pin(number), active))
        if "button" in settings:
            from firmware import button

            found.append(button.run(node, board_start.pin(settings["button"], True)))
    except (ValueError, TypeError) as error:  # no such pin: that must not end a device
        node.log("warning", "a pin of LED or button cannot be used: %s" % error)
    return found


async def tasks(node):
    """Join the network and begin to serve: the tasks that run from now on."""
    node.log("info", "Fargo, version %s in %s" % (node.version or "unknown", node.slots.running))
    # The app's image comes before what is frozen into the firmware; names of frozen files have no root.
    root, _, folder = __file__.partition("/")
    node.log("info", "Fargo's code is in " + ("the firmware" if root else "/" + folder.partition("/")[0] + "/"))
    found = [asyncio.create_task(coroutine) for coroutine in [node.feed()] + _manners(node)]
    with phase("swupdate.boot") as boot:
        boot.start(node.updater, board_start.reset_cause())
    node.tell()
    if not node.slots.confirmed:  # its time runs from now on: a version that does not find its network goes back
        found.append(asyncio.create_task(node.try_out()))
    await node.board.join()
    address = node.board.address()
    node.log("info", "the network is joined as %s" % address)
    # In the clear, where discovery comes to, and secured.
    clear = Endpoint(
        UdpTransport(address, _PORT, (_GROUP,), address),
        node.ocf.handle,
        node.ocf.out,
        rate=_CLEAR_RATE,
        burst=_CLEAR_BURST,
    )
    node.dtls = DtlsTransport(UdpTransport(address, _SECURE_PORT, limit=_DATAGRAM), node.security)
    secured = Endpoint(node.dtls, node.ocf.handle, node.ocf.out)
    node.dtls.closed = secured.drop
    node.ocf.coap += [clear, secured]
    coroutines = [endpoint.run() for endpoint in node.ocf.coap]
    if node.pstat.unfinished:
        node.log("warning", "RESET: " + node.pstat.unfinished)
        node.pstat.begin_reset()
    server = node.settings.get("ntp", "pool.ntp.org")
    coroutines += [
        node.updater.run(),
        node.clock.follow(server, node.board.dns(), node.log),
        node.app.run(node.app_crashed),
    ]
    return found + [asyncio.create_task(coroutine) for coroutine in coroutines]
