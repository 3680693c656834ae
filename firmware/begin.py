"""Joins the network and begins to serve: a phase, after `firmware.start` has made all parts."""

import asyncio

from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from port import const, phase

_GROUP = "224.0.1.187"  # All OCF Devices (IPv4)
_PORT = const(5683)
_SECURE_PORT = const(5684)
# Whoever answers in the clear answers forged addresses, too. Six Clients may find the Device at once (the Endpoint's
# `burst`), then one a second.
_CLEAR_RATE = const(4)  # bytes a millisecond
_DATAGRAM = const(1500)  # handshakes have longer ones than CoAP's


def _manners(node):
    """What shows and feels, on boards that have it: resident there, and no part of the others' memory."""
    settings = node.settings
    found = []
    try:
        if "led" in settings:
            from firmware import light

            number, active = settings["led"]
            found.append(light.run(node, _pin(number), active))
        if "button" in settings:
            from firmware import button

            found.append(button.run(node, _pin(settings["button"], True)))
    except (ValueError, TypeError) as error:  # no such pin: that must not end a device
        node.log("warning", "a pin of LED or button cannot be used: %s" % error)
    return found


def _pin(*what):
    with phase("board_start") as board:
        return board.pin(*what)


def _cause():
    with phase("board_start") as board:
        return board.reset_cause()


async def tasks(node):
    """Join the network and begin to serve: the tasks that run from now on."""
    node.log("info", "Fargo, version %s in %s" % (node.version or "unknown", node.slots.running))
    # The app's image comes before what is frozen into the firmware; names of frozen files have no root.
    root, _, folder = __file__.partition("/")
    node.log("info", "Fargo's code is in " + ("the firmware" if root else "/" + folder.partition("/")[0] + "/"))
    found = [asyncio.create_task(coroutine) for coroutine in [node.feed()] + _manners(node)]
    with phase("swupdate.boot") as boot:
        boot.start(node.updater, _cause())
    node.tell()
    if not node.slots.confirmed:  # its time runs from now on: a version that does not find its network goes back
        asyncio.create_task(node.try_out())
    await node.board.join()
    address = node.board.address()
    node.log("info", "the network is joined as %s" % address)
    # In the clear, where discovery comes to, and secured.
    clear = Endpoint(
        UdpTransport(address, _PORT, (_GROUP,), address),
        node.ocf.handle,
        node.ocf.out,
        rate=_CLEAR_RATE,
    )
    node.dtls = DtlsTransport(UdpTransport(address, _SECURE_PORT, limit=_DATAGRAM), node.security)
    secured = Endpoint(node.dtls, node.ocf.handle, node.ocf.out)
    node.dtls.closed = secured.drop
    node.ocf.coap += [clear, secured]
    # The app first of all: what stays is not to lie between what is loaded for a moment.
    coroutines = [node.app.run(node.app_crashed)] + [endpoint.run() for endpoint in node.ocf.coap]
    if node.pstat.unfinished:
        node.log("warning", "RESET: " + node.pstat.unfinished)
        node.pstat.begin_reset()
    server = node.settings.get("ntp", "pool.ntp.org")
    coroutines += [
        node.updater.run(),
        node.clock.follow(server, node.board.dns(), node.log),
    ]
    return found + [asyncio.create_task(coroutine) for coroutine in coroutines]
