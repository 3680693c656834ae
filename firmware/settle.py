"""What the start's phases have made and what stays, made anew: it lies where their code was, and cuts the heap to pieces.

And what nobody calls any more is forgotten, and the reserve is held. A phase, after the start.
"""

from ocf.device import Device
from ocf.pstat import Pstat
from ocf.security import Security
from port import collect, collect_after, const, memory_free, reserve
from swupdate.manager import Updater
from swupdate.slots import Slots

from board import Board
from firmware.app import App
from firmware.clock import Clock
from firmware.node import Node
from firmware.store import Store

_RECORDS = ("uuid", "devowner", "rowner", "cred_owner", "acl_owner", "sdi", "creds", "aces")
_SHORT = const(100_000)  # bytes free when the start is over
_GARBAGE = const(8192)
# Bytes: the buffers of an update (swupdate.action), and enough to refuse, to record and to answer when the app has taken all
# the rest.
_RESERVE = const(4096)
_SPARE = const(2048)
_PLAIN = (str, bytes, tuple)  # what nobody changes, and so nobody may know


def settle(node):
    """Have copies in place of the records and settings of `node` (firmware.node), and of what its Resources are called."""
    known = {str: {}, bytes: {}}  # one copy of each
    box = [None]

    def again(value):
        kind = type(value)
        if kind is dict:
            for name in value:
                value[name] = again(value[name])
            return value.copy()
        if kind is list or kind is tuple:
            return kind([again(item) for item in value])
        if kind in known:
            found = known[kind]
            if value not in found:
                box[0] = value
                found[value] = kind().join(box)  # leaves nothing beside it: that would lie where the next one is to
            return found[value]
        return value

    for made in (App, Board, Clock, Device, Node, Pstat, Security, Slots, Store, Updater):
        made.__init__ = None  # there is one of each, until a reset; what is deleted stays where it was in the table
    Node._begin = Node._settle = Node.try_out = None
    security = node.security
    try:
        for resource in node.ocf.resources:
            values = resource.__dict__
            for name in values:
                if type(values[name]) in _PLAIN:
                    setattr(resource, name, again(values[name]))
            values = None
            collect()
        for name in _RECORDS:
            setattr(security, name, again(getattr(security, name)))
        node.ocf.di = security.uuid
        node.updater.state = again(node.updater.state)
        collect()
        for settings in node.settings, security.settings:  # others have the same
            for name in list(settings):
                key, value = again(name), again(settings[name])
                del settings[name]
                settings[key] = value
    except MemoryError:  # then they stay where they are
        pass


def hold(node):
    """Hold the reserve, from now on."""
    if memory_free() < _SHORT:
        # With more garbage what lives on is spread over the heap, until no large piece is left; but a collection takes
        # as long as a request.
        reserve.garbage = _GARBAGE
        collect_after(_GARBAGE)
    reserve.deaf, reserve.left = node.board.deaf, node.board.left
    reserve.size, reserve.spare = _RESERVE, _SPARE
    reserve.take()
