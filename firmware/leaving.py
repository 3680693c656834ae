"""The app makes room for a step of an update: it leaves memory where that is short, or pauses. A phase.

Nothing here keeps what was the app's: each of these functions ends before the next is called.
"""

import sys

from ocf.resource import Phased, Resource
from port import const, sleep_ms, spent

from firmware.app import absent
from firmware.asking import ask

# Bytes of the heap that a step takes beside what an idle device has (host_tests/bench/bench_memory.py).
_NEEDS = {"check": 40_000, "obtain": 52_000}
_END_MS = const(5000)  # `main` may take so long to end
_LOOK_MS = const(20)
_LIKE = ("secure", "discoverable", "observable", "dcr")


async def begin(app, what):
    """Before the step `what`, "check" or "obtain"."""
    if app.away and not app.module:  # it is away still
        app.away = 2
    elif not (app.device.board.left() < _NEEDS[what] and await _stopped(app)) and what == "obtain":
        app.held = True
        await ask(app, "pause", None)


async def end(app):
    """After it. One that is away comes back by itself, and has nothing to take up."""
    if app.held:
        await ask(app, "resume", None)
        app.held = False  # only now: without memory to ask it is asked again


async def _stopped(app):
    """Whether the app was stopped, and has left memory. One that cannot, says False or fails stays."""
    if not hasattr(app.module, "stop"):
        return False
    app.held = True
    if await ask(app, "stop", None) is False:
        return False
    app.away = 3
    app.task.cancel()
    for _ in range(_END_MS // _LOOK_MS):
        await sleep_ms(_LOOK_MS)
        if not app.module:
            app.held = False
            _unload(app)
            return True
    app.away = 4
    app.device.log("warning", "the app does not end, and stays in memory")
    return False


def _unload(app):
    device = app.device.ocf
    resources = device.resources
    try:
        for at in range(app.own, len(resources)):
            resources[at] = _standing_for(resources[at])
            device.notify(resources[at])
    except MemoryError:
        del resources[app.own :]
    spent(sys.modules["app"])
    app.code.__exit__()
    app.device.log("info", "the app has left memory, for an update")


def _standing_for(resource):
    found = Phased(href=_copy(resource.href), rt=_copies(resource.rt), interfaces=Resource.interfaces, code=absent)
    if resource.interfaces != found.interfaces:
        found.interfaces = _copies(resource.interfaces)
    for name in _LIKE:
        if getattr(resource, name) != getattr(found, name):
            setattr(found, name, getattr(resource, name))
    found.device = resource.device
    return found


def _copies(texts):
    return tuple([_copy(text) for text in texts])


def _copy(text):
    """Where there is room: the app's own would cut what it leaves to pieces."""
    return str(text.encode(), "utf-8")
