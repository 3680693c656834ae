"""The record of the update machine, as it was saved. A phase."""

from port import phase


def load(store):
    """The saved state. Keys that are unknown are left out, those that are missing or of another type are fresh."""
    record = _read(store)
    with phase("swupdate.machine") as machine:
        return _filled(record, machine)


def _read(store):
    with phase("cbor.decoder") as decoder:
        try:
            return decoder.decode(store.load("update") or b"\xa0")
        except ValueError:
            return None


def _filled(record, machine):
    state = machine.fresh()
    try:
        for name in state:
            value = record.get(name)
            if isinstance(value, type(state[name])):
                state[name] = value
    except AttributeError:
        return machine.fresh()
    if state["state"] not in machine.CM or state["running"] not in machine.TM or state["sched"] not in machine.TM:
        return machine.fresh()
    return state
