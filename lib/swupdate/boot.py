"""What runs now, against what the record expected: decided at every start, from facts alone. A phase of its own."""

import cbor
from cbor.decoder import decode
from port import const, phase, print_exception

from swupdate import arming
from swupdate.machine import CM, TM, TRIES, fresh

# States of a slot in otadata (ESP-IDF's esp_ota_img_states_t); None: no entry, never armed or otadata lost
_NEW = const(0)
_PENDING = const(1)
_VALID = const(2)
_INVALID = const(3)
_ABORTED = const(4)


def start(updater, cause):
    """Compare what runs with the record of `updater`, once, at the start. `cause` is the board's reset cause."""
    slots, store = updater.slots, updater.store
    updater.state = load(store)
    event = reconcile(updater.state, facts(slots, cause, store, updater.clock.now()))
    if event[0] == "rolled_back" and not slots.confirmed:
        try:  # it was confirmed before: only a confirmed version installs
            arming.confirm(slots)
        except Exception as error:  # noqa: BLE001 - then it has a trial of its own
            print_exception(error)
    updater.floor = floor(store, updater.nvs, slots)
    updater.feed(event)
    if updater.saved and event[0] != "trial":
        store.remove("trial")  # what it was about is over, and in the record: the next trial begins with none


def confirm(updater):
    """Keep the running version: its trial is over. Raises Fault or OSError when the flash refuses."""
    slots = updater.slots
    arming.confirm(slots)
    label = slots.label(slots.running) or {}
    updater.feed(("confirmed", slots.running, updater.clock.now() or label.get("built", 0)))
    updater.floor = floor(updater.store, updater.nvs, slots)


def load(store):
    """The saved state. Keys that are unknown are left out, those that are missing or of another type are fresh."""
    state = fresh()
    try:
        record = decode(store.load("update") or b"\xa0")
        for name in state:
            value = record.get(name)
            if isinstance(value, type(state[name])):
                state[name] = value
    except (ValueError, AttributeError):
        return fresh()
    if state["state"] not in CM or state["running"] not in TM or state["sched"] not in TM:
        return fresh()
    return state


def facts(slots, cause, store, now):
    """What `reconcile` decides from. `cause` is the board's reset cause, `now` the time or 0."""
    note = None
    data = store.load("trial")
    if data:
        try:
            note = str(decode(data)["reason"])[:200]
        except (ValueError, KeyError, TypeError):
            note = "its trial was given up"
    both = (slots.running, slots.other)
    found = {
        "running": slots.running,
        "states": {slot: slots.state(slot) for slot in both},
        "labels": {slot: slots.label(slot) for slot in both},
        "cause": cause,
        "note": note,
        "now": now,
    }
    with phase("swupdate.trust") as trust:
        staged = trust.staged(store)
    if staged:
        found["trust"] = staged["manifest"]
    return found


def reconcile(record, facts):
    """The event for the machine.

    `record` is the machine's state as it was saved; `facts`: "running" slot, "states" and "labels" by slot, "cause" of
    the reset ("power", "watchdog", "reset", "soft"), "note" (why the trial gave up, or None), "now" (0: not known),
    "trust" (digest of the manifest of a trust store that is ready; left out when none is).
    """
    running = facts["running"]
    state = facts["states"].get(running)
    label = facts["labels"].get(running) or {}
    to = record["to"] if record["state"] == "upgrading" else ""
    lost = state is None and [slot for slot in facts["states"] if facts["states"][slot] is not None]
    if (lost or state in (_NEW, _PENDING)) and to in ("", running):
        reason = "" if to == running and _is(label, record) else "a version that the record does not know is on trial"
        if not to and record["slot"] not in ("", running):
            reason = "%s runs, and no update asked for it: %s is damaged or cannot be run" % (running, record["slot"])
        return ("trial", running, str(label.get("version", "")), reason)
    if to == running:
        if state in (_INVALID, _ABORTED):
            return ("rolled_back", running, "the version that failed its trial runs: there was nothing else to start")
        if not _is(label, record):
            return ("rolled_back", running, "something else runs than was installed")
        return ("confirmed", running, facts["now"] or label.get("built", 0))
    if to:
        return _not_there(record, facts, to)
    if record["slot"] not in ("", running):
        before = facts["labels"].get(record["slot"])
        if state == _VALID and before and label.get("seq", 0) > before["seq"] and not _is(label, record):
            # No fall back leads to a newer one, and no update of this device's led there.
            return ("moved", running, "version %s was flashed by cable" % label["version"])
        return (
            "rolled_back",
            running,
            "%s runs instead of %s: that or otadata is damaged" % (running, record["slot"]),
        )
    if record["running"] != "idle":
        return ("resume", running)
    ready = facts.get("trust") == record["digest"] or any(
        _is(facts["labels"][slot], record) for slot in facts["labels"]
    )
    if record["state"] == "sva" and not ready:
        return ("moved", running, "the package that was ready is no longer there")
    return ("booted", running)


def _not_there(record, facts, to):
    """The slot `to` was to be tried, and another runs."""
    running, note, cause = facts["running"], facts["note"], facts["cause"]
    state = facts["states"].get(to)
    if not _is(facts["labels"].get(to), record):
        return ("rolled_back", running, "what was installed is no longer there")
    if facts["states"].get(running) in (_NEW, _PENDING):
        again, reason = False, "it gave up in its trial"  # and had this one started again
    elif state in (_INVALID, _ABORTED):
        again = cause == "power"
        if cause == "watchdog":
            reason = "the watchdog ended its trial"
        else:
            reason = "it gave up in its trial" if state == _INVALID else "it crashed in its trial"
    elif state == _PENDING:
        again, reason = False, "the bootloader refused it"
    else:
        again, reason = True, "it was not started"
    if note:
        return ("rolled_back", running, note)
    if again and record["tries"] < TRIES:
        return ("rearm", running)
    if again and state in (_INVALID, _ABORTED):
        reason = "the power failed in each of its %d trials" % TRIES
    return ("rolled_back", running, reason)


def _is(label, record):
    """Whether the slot with this label holds what the record is about."""
    return bool(label) and bytes(label.get("manifest", b"")) == record["digest"]


def floor(store, nvs, slots):
    """The sequence number below which nothing is installed; raised first when the running slot is confirmed and above.

    It is kept twice: in `store` and in `nvs` (an `esp32.NVS`, or None). A trust store that sets a floor begins anew, under
    another name: what was kept before, and slots that were written before, count no more.
    """
    with phase("swupdate.trust") as trust:
        found = trust.load(store, nvs)
    since, seq = (found["since"], found["floor"]) if found else (0, 0)
    name = "floor%d" % since if since else "floor"
    data = store.load(name)
    kept = copied = 0
    try:
        kept = decode(data)["seq"] if data else 0
        kept = kept if isinstance(kept, int) else 0
    except (ValueError, KeyError, TypeError):
        pass
    if nvs:
        buf = bytearray(8)
        try:
            if nvs.get_blob(name, buf) == 8:
                copied = int.from_bytes(buf, "big")
        except OSError:  # was never written
            pass
    seq = max(seq, kept, copied)
    label = slots.label(slots.running)
    if slots.confirmed and label and label.get("trust", 0) >= since:
        seq = max(seq, label["seq"])
    # One of the two is enough, and the next start tries again.
    try:
        if seq > kept:
            store.save(name, cbor.dumps({"v": 1, "seq": seq}))
    except OSError as error:
        print_exception(error)
    try:
        if nvs and seq > copied:
            nvs.set_blob(name, seq.to_bytes(8, "big"))
            nvs.commit()
    except OSError as error:
        print_exception(error)
    return seq
