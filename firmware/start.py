"""Makes the parts of the device that all others build on: storage, slots, clock and security. A phase of the start.

What it makes outlives it, so nothing that it hands over is code of its own.
"""

import sys

from ocf.device import Device
from ocf.pstat import Pstat
from ocf.security import Security
from port import const, phase, urandom
from swupdate.slots import Slots

from firmware.clock import Clock
from firmware.store import Store

_MODULES = const(30)  # together at most


def begin(node):
    """Make the parts of `node` (firmware.node), which has its `board`.

    What firmware.parts goes on with: what was provisioned, the label of the running slot, and the copy of the floor.
    """
    _make_room()
    p = _provisioned()
    root, nvs = _mounted(node)
    node.data = _folder(root + "/app")
    store = node.store = Store(root)
    store.keep_room()
    node.slots = Slots(node.board)
    label = node.slots.label(node.slots.running) or {}
    node.version = label.get("version", "")
    node.clock = Clock(node.board, store, label.get("built", 0))
    pstat = node.pstat = Pstat(store)
    cert = p["mfgcert"]
    security = node.security = Security(store, pstat, urandom, {
        "mfgcert": cert and (cert["chain"], cert["key"]), "mfgtrust": p["mfgtrust"], "now": node.clock.now,
        "pin": node.show_pin, "oxms": p["settings"].get("oxms", (0, 1, 2)),
    })  # fmt: skip
    node.ocf = security.device = Device(security, security.uuid)
    return p, label, nvs


def _make_room():
    """Have the table of modules as large as it will be: made larger when many are there, it would lie amidst the heap."""
    modules = sys.modules
    while len(modules) < _MODULES:
        modules[len(modules)] = None
    for number in range(_MODULES):
        modules.pop(number, None)


def _provisioned():
    with phase("firmware.provision") as provision:
        return provision.read()


def _mounted(node):
    """The root of the file system of all mutable state, in which files can be written, and the copy of the floor."""
    with phase("board_start") as board:
        root = board.mount_data(node.board)
        with phase("firmware.repair") as damaged:
            damaged.repair(root, lambda: board.format_data(node.board), node.log)
        return root, board.nvs()


def _folder(path):
    with phase("firmware.folder") as folder:
        return folder.made(path)
