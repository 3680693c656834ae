"""Makes the update, the app and the Resources, and joins all parts of the device. A phase, after `firmware.start`.

What it makes outlives it, so nothing that it hands over is code of its own.
"""

from ocf import core
from port import phase
from swupdate import status
from swupdate.manager import Updater

from firmware.app import App


def join(node, p, label, nvs):
    """Make the rest of the parts of `node` (firmware.node). `p` is what was provisioned, `label` that of the running slot,
    `nvs` keeps the copy of the floor."""
    board, pstat = node.board, node.pstat
    settings = node.settings = p["settings"]
    settings["url"] = p["url"]
    settings["schemes"] = ("https", "coaps")
    settings["address"] = board.address
    with phase("swupdate.rfc3339") as rfc3339:
        settings["manufactured"] = rfc3339.parse(p["manufactured"])
    updater = node.updater = Updater(
        node.store, node.clock, node.slots, pstat, node.job, settings, node.reboot, nvs
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
    settings = p["settings"]
    add(status.software_update(node.updater, **({"href": settings["href"]} if settings.get("href") else {})))
    add(status.resource(node.updater, label))
