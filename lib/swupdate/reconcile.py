"""What runs now and what the record expected: facts, and what they mean. A phase of `boot`."""

from port import const, phase

# States of a slot in otadata (ESP-IDF's esp_ota_img_states_t); None: no entry, never armed or otadata lost
_NEW = const(0)
_PENDING = const(1)
_VALID = const(2)
_INVALID = const(3)
_ABORTED = const(4)

TRIES = 3  # so often is a slot armed for the same update


def facts(slots, cause, store, now):
    """What `reconcile` decides from. `cause` is the board's reset cause, `now` the time or 0."""
    note = None
    data = store.load("trial")
    if data:
        try:
            with phase("cbor.decoder") as decoder:
                note = str(decoder.decode(data)["reason"])[:200]
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
