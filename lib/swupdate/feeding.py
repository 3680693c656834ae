"""A step of the update machine, and its record. A phase of each event."""

import cbor
from port import const, print_exception

from swupdate import utc
from swupdate.machine import CM, action, step

_VERSION = const(1)  # of the record
_WITH_FACTS = ("update", "target", "due")


def feed(updater, event):
    """Have the machine of `updater` take a step, and do at once what must not wait: the record, the timer, an abort.

    None, or the refusal. Raises MemoryError, and then the step was not taken: what takes memory comes before the record.
    """
    if event[0] in _WITH_FACTS:
        u = updater
        event += ((u.clock.now(), u.pstat.operational, bool(u.settings.get("url")), u.slots.confirmed),)
    state, effects = step(updater.state, event)
    last = state["last"] or updater.settings.get("manufactured", 0)
    shown = action(state), utc.format(last), utc.format(state["when"])
    todo = updater.effects.copy()
    refused = cancelled = None
    armed = updater.armed
    for effect in effects:
        what = effect[0]
        if what == "refuse":
            refused = effect[1:]
        elif what == "timer":
            armed = effect[1]
        elif what == "cancel":
            cancelled = True
            todo.clear()
        elif what != "save":
            todo.append(effect)
    if ("save",) in effects:
        _save(updater, state)
    if cancelled:
        updater.cancel()
    updater.state, updater.shown = state, shown
    updater.effects, updater.armed = todo, armed
    updater.pstat.show(CM[state["state"]], state["tm"])
    updater.wake.set()
    return refused


def _save(updater, state):
    record = dict(state)
    record["v"] = _VERSION
    try:
        updater.store.save("update", cbor.dumps(record))
        updater.saved = True
    except OSError as error:
        updater.saved = False
        print_exception(error)
