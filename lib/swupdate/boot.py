"""What runs now, against what the record expected: decided at every start, from facts alone. A phase of its own.

The record is read (`recorded`), facts are found and judged (`reconcile`), and the sequence floor is raised (`floor`), each
in a phase of its own.
"""

from port import phase, print_exception


def start(updater, cause):
    """Compare what runs with the record of `updater`, once, at the start. `cause` is the board's reset cause."""
    slots, store = updater.slots, updater.store
    with phase("swupdate.recorded") as code:
        updater.state = code.load(store)
    with phase("swupdate.reconcile") as code:
        event = code.reconcile(updater.state, code.facts(slots, cause, store, updater.clock.now()))
    if event[0] == "rolled_back" and not slots.confirmed:
        try:  # it was confirmed before: only a confirmed version installs
            _keep(slots)
        except Exception as error:  # noqa: BLE001 - then it has a trial of its own
            print_exception(error)
    _raise_floor(updater)
    updater.feed(event)
    if updater.saved and event[0] != "trial":
        store.remove("trial")  # what it was about is over, and in the record: the next trial begins with none


def confirm(updater):
    """Keep the running version: its trial is over. Raises Fault or OSError when the flash refuses."""
    slots = updater.slots
    _keep(slots)
    label = slots.label(slots.running) or {}
    updater.feed(("confirmed", slots.running, updater.clock.now() or label.get("built", 0)))
    _raise_floor(updater)


def _keep(slots):
    with phase("swupdate.arming") as arming:
        arming.confirm(slots)


def _raise_floor(updater):
    with phase("swupdate.floor") as code:
        updater.floor = code.floor(updater.store, updater.nvs, updater.slots)
