"""`swupdate.boot`: what runs against what the record expected, in every combination; the record; the floor."""

import cbor
from swupdate import floor, reconcile, recorded
from swupdate.machine import CM, fresh, step

MINE, OTHER = b"\x11" * 32, b"\x22" * 32
STATES = (0, 1, 2, 3, 4, 0xFFFFFFFF, None)
NOW = 1900000000


def record(state="upgrading", running="upgrade", to="ota_1", slot="ota_0", tries=1):
    s = fresh()
    s.update(
        {"state": state, "running": running, "to": to, "slot": slot, "tries": tries, "digest": MINE, "nv": "1.1.0"}
    )
    return s


def facts(running="ota_1", here=2, there=2, cause="reset", note=None, label=MINE, now=0, over=OTHER):
    """`here` and `label`: the state and digest of ota_1, the target; `there` and `over` those of ota_0."""
    labels = {
        "ota_0": {"seq": 1, "version": "1.0.0", "manifest": over, "built": 5},
        "ota_1": {"seq": 2, "version": "1.1.0", "manifest": label, "built": 7} if label else None,
    }
    return {
        "running": running, "states": {"ota_0": there, "ota_1": here}, "labels": labels, "cause": cause, "note": note,
        "now": now,
    }  # fmt: skip


def test_the_trial_runs():
    for here in (0, 1):
        assert reconcile.reconcile(record(), facts(here=here)) == ("trial", "ota_1", "1.1.0", "")
        event = reconcile.reconcile(fresh(), facts(here=here))
        assert event[:3] == ("trial", "ota_1", "1.1.0") and "record" in event[3]


def test_a_newer_version_was_flashed_by_cable():
    """Into the slot that did not run. An older one looks like a fall back, and so does one that is not confirmed."""
    idle = record(state="idle", running="idle", to="")
    other = b"\x33" * 32
    event = reconcile.reconcile(idle, facts(label=other))
    assert event == ("moved", "ota_1", "version 1.1.0 was flashed by cable")
    idle["result"] = 1
    state, _ = step(idle, event)
    assert (state["slot"], state["result"], state["state"]) == ("ota_1", 1, "idle")
    older = facts(label=other)
    older["labels"]["ota_1"]["seq"] = 0
    unknown = facts(label=other, over=None)
    unknown["labels"]["ota_0"] = None
    mine = facts(label=MINE)  # it had been fetched, and nobody had approved it
    lost = facts(label=other, here=None, there=None)
    for case in (older, unknown, mine, lost, facts(label=other, here=4)):
        assert reconcile.reconcile(idle, case)[0] == "rolled_back", case


def test_confirmed_but_not_recorded():
    assert reconcile.reconcile(record(), facts(here=None, there=None)) == ("confirmed", "ota_1", 7)
    for here in (2, 0xFFFFFFFF):
        assert reconcile.reconcile(record(), facts(here=here)) == ("confirmed", "ota_1", 7)
        assert reconcile.reconcile(record(), facts(here=here, now=NOW)) == ("confirmed", "ota_1", NOW)


def test_what_runs_is_not_what_was_installed():
    assert reconcile.reconcile(record(), facts(here=2, label=OTHER))[0] == "rolled_back"
    assert reconcile.reconcile(record(), facts(here=2, label=None))[0] == "rolled_back"
    for here in (3, 4):
        event = reconcile.reconcile(record(), facts(here=here))
        assert event[0] == "rolled_back" and "nothing else" in event[2]


def test_the_trial_failed():
    for here, cause, words in (
        (4, "watchdog", "watchdog"),
        (4, "reset", "crashed"),
        (4, "soft", "crashed"),
        (3, "reset", "gave up"),
        (1, "power", "bootloader"),
        (1, "reset", "bootloader"),
    ):
        event = reconcile.reconcile(record(), facts("ota_0", here, cause=cause))
        assert event[:2] == ("rolled_back", "ota_0") and words in event[2], event


def test_the_note_of_the_trial_is_the_reason():
    for here in (3, 4):
        for cause in ("power", "watchdog", "reset"):
            event = reconcile.reconcile(record(), facts("ota_0", here, cause=cause, note="the app was not well"))
            assert event == ("rolled_back", "ota_0", "the app was not well")


def test_the_old_version_was_armed_to_go_back():
    for here in STATES:
        for note in (None, "why"):
            event = reconcile.reconcile(record(), facts("ota_0", here, there=1, cause="power", note=note))
            assert event == ("rolled_back", "ota_0", note or "it gave up in its trial")


def test_a_power_cut_is_not_a_failure():
    for here in (3, 4):
        for tries in (1, 2):
            assert reconcile.reconcile(record(tries=tries), facts("ota_0", here, cause="power")) == ("rearm", "ota_0")
        event = reconcile.reconcile(record(tries=3), facts("ota_0", here, cause="power"))
        assert event[0] == "rolled_back" and "power" in event[2]


def test_never_armed():
    for here in (0, 2, 0xFFFFFFFF, None):
        for cause in ("power", "watchdog", "reset"):
            assert reconcile.reconcile(record(), facts("ota_0", here, cause=cause)) == ("rearm", "ota_0")
            assert reconcile.reconcile(record(tries=3), facts("ota_0", here, cause=cause))[0] == "rolled_back"
        for label in (OTHER, None):
            event = reconcile.reconcile(record(), facts("ota_0", here, label=label))
            assert event[0] == "rolled_back" and "no longer there" in event[2]
    # Before arming the record names no slot: the work is taken up again.
    assert reconcile.reconcile(record(to="", tries=0), facts("ota_0")) == ("resume", "ota_0")


def test_a_power_cut_before_the_first_trial_tells_why_it_was_given_up():
    assert "not started" in reconcile.reconcile(record(tries=3), facts("ota_0", 2, cause="power"))[2]


def test_a_trial_of_something_else_says_so():
    assert "record" in reconcile.reconcile(record(), facts(here=1, label=OTHER))[3]
    assert "record" in reconcile.reconcile(record(to="", slot=""), facts(here=1, label=OTHER))[3]
    assert "ota_0 is damaged" in reconcile.reconcile(record(to=""), facts(here=1, label=OTHER))[3]


def test_otadata_was_lost():
    event = reconcile.reconcile(record("idle", "idle", "", slot="ota_1"), facts("ota_0", None, None))
    assert event[:2] == ("rolled_back", "ota_0") and "otadata" in event[2]


def test_a_ready_package_is_gone():
    ready = record("sva", "idle", "")
    assert reconcile.reconcile(ready, facts("ota_0")) == ("booted", "ota_0")
    for label in (OTHER, None):
        assert reconcile.reconcile(ready, facts("ota_0", label=label))[0] == "moved"


def test_a_trust_store_that_is_ready():
    """It is in no slot; and its work, too, is taken up again."""
    ready = record("sva", "idle", "")
    for digest, event in ((MINE, "booted"), (OTHER, "moved")):
        f = facts("ota_0", label=OTHER)
        f["trust"] = digest
        assert reconcile.reconcile(ready, f)[0] == event
        f["trust"] = MINE
        assert reconcile.reconcile(record("upgrading", "upgrade", "", tries=0), f) == ("resume", "ota_0")


def test_nothing_happened():
    assert reconcile.reconcile(fresh(), facts("ota_0")) == ("booted", "ota_0")
    assert reconcile.reconcile(record("idle", "idle", ""), facts("ota_0")) == ("booted", "ota_0")


def test_interrupted_work():
    for state, running in (("idle", "isac"), ("nsa", "isac"), ("svv", "isvv"), ("svv", "upgrade"), ("sva", "upgrade")):
        assert reconcile.reconcile(record(state, running, ""), facts("ota_0")) == ("resume", "ota_0")


def test_every_combination_has_an_event_that_tells_the_truth():
    seen = set()
    for state in CM:
        for action in ("idle", "isac", "isvv", "upgrade"):
            for to in ("", "ota_0", "ota_1"):
                for slot in ("", "ota_0", "ota_1"):
                    for tries in (0, 1, 3):
                        was = record(state, action, to, slot, tries)
                        for running in ("ota_0", "ota_1"):
                            for here in STATES:
                                for cause in ("power", "watchdog", "reset"):
                                    for label in (MINE, OTHER, None):
                                        f = facts(running, here, STATES[3 - tries], cause, None, label)
                                        seen.add(one(was, f))
    assert seen == {"trial", "confirmed", "rolled_back", "rearm", "resume", "moved", "booted"}


def one(was, f):
    event = reconcile.reconcile(was, f)
    after, effects = step(was, event)
    assert event[1] == f["running"] == after["slot"]
    back = was["state"] == "upgrading" and was["to"] not in ("", f["running"])
    here, there = [f["states"][slot] for slot in (f["running"], "ota_1" if f["running"] == "ota_0" else "ota_0")]
    unconfirmed = (here in (0, 1) or here is None and there is not None) and not back
    assert (event[0] == "trial") == unconfirmed
    if unconfirmed:
        assert after["state"] == "upgrading" and after["running"] == "upgrade"
    if after["result"] == 1:
        assert was["to"] == f["running"] and f["labels"][f["running"]]["manifest"] == MINE
    if event[0] == "rearm":
        assert was["tries"] < 3 and effects[-1][0] == "reboot" and effects[-1][1] != f["running"]
    else:
        assert not any(effect[0] == "reboot" for effect in effects)
    if event[0] == "rolled_back":
        assert after["result"] == 8 and after["state"] == "idle" and after["reason"]
    if event[0] == "moved":
        assert after["reason"]
    return event[0]


class Memory:
    """A store in memory."""

    def __init__(self):
        self.records = {}

    def load(self, name):
        return self.records.get(name)

    def save(self, name, data):
        self.records[name] = bytes(data)


class NVS:
    """esp32.NVS, as far as it is used."""

    def __init__(self):
        self.blobs = {}
        self.committed = {}

    def get_blob(self, key, buf):
        if key not in self.committed:
            raise OSError(-4354)
        data = self.committed[key]
        buf[: len(data)] = data
        return len(data)

    def set_blob(self, key, data):
        self.blobs[key] = bytes(data)

    def commit(self):
        self.committed.update(self.blobs)


class Slots:
    running, other = "ota_0", "ota_1"

    def __init__(self, seq, confirmed=True):
        self.seq, self.confirmed = seq, confirmed

    def label(self, slot):
        return {"seq": self.seq, "version": "1", "manifest": MINE, "built": 5} if slot == self.running else None

    def state(self, slot):
        return 2 if slot == self.running else None


def test_records_of_any_shape_load():
    store = Memory()
    assert recorded.load(store) == fresh()
    for bad in (
        b"",
        b"\xff",
        b"\x80",
        b"\x01",
        b"x" * 40,
        cbor.dumps({"state": "none"}),
        cbor.dumps({"running": "x"}),
        cbor.dumps({"sched": "x"}),
        b"\xff\xff",
    ):
        store.save("update", bad)
        assert recorded.load(store) == fresh(), bad
    store.save(
        "update", cbor.dumps({"v": 2, "purl": "https://a", "when": "soon", "future": [1], "state": "nsa", "result": 4})
    )
    loaded = recorded.load(store)
    expected = fresh()
    expected.update({"purl": "https://a", "state": "nsa", "result": 4})
    assert loaded == expected


def test_facts_come_from_slots_and_the_note():
    store = Memory()
    assert reconcile.facts(Slots(3), "power", store, 9) == {
        "running": "ota_0", "states": {"ota_0": 2, "ota_1": None},
        "labels": {"ota_0": Slots(3).label("ota_0"), "ota_1": None},
        "cause": "power", "note": None, "now": 9,
    }  # fmt: skip
    store.save("trial", cbor.dumps({"v": 1, "reason": "why"}))
    assert reconcile.facts(Slots(3), "power", store, 9)["note"] == "why"
    for bad in (b"\xff", b"\x80", cbor.dumps({"v": 9})):
        store.save("trial", bad)
        assert reconcile.facts(Slots(3), "power", store, 9)["note"]


def test_the_floor_only_rises_and_only_when_confirmed():
    store, nvs = Memory(), NVS()
    assert floor.floor(store, nvs, Slots(5, confirmed=False)) == 0
    assert floor.floor(store, nvs, Slots(5)) == 5
    assert floor.floor(store, nvs, Slots(3)) == 5
    assert floor.floor(Memory(), nvs, Slots(3)) == 5, "the copy is enough"
    assert floor.floor(store, NVS(), Slots(3)) == 5, "the record is enough"
    assert floor.floor(store, None, Slots(9, confirmed=False)) == 5
    store.save("floor", cbor.dumps({"seq": "x"}))
    assert floor.floor(store, None, Slots(4)) == 4
    store.save("floor", b"\xff")
    nvs2 = NVS()
    assert floor.floor(store, nvs2, Slots(4)) == 4
    assert floor.floor(Memory(), nvs, Slots(1 << 40)) == 1 << 40
