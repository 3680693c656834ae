"""Random lives of a Device: whatever the order of events, the machine's invariants hold."""

from hypothesis import given, settings
from hypothesis import strategies as st
from swupdate.machine import CM, TM, action, fresh, step

NOW = 1_900_000_000
OFFERS = st.sampled_from([None, ("1.1.0", 2, b"\x11" * 32), ("1.2.0", 3, b"\x22" * 32)])
FACTS = st.tuples(st.sampled_from([0, NOW, NOW + 50]), st.booleans(), st.booleans(), st.booleans())
WHEN = st.one_of(st.sampled_from(["now", "none"]), st.integers(NOW - 9, NOW + 99))
FAULT = st.sampled_from([None, None, None, (6, "bad URL"), (7, "protocol")])
CLIENT = st.one_of(
    st.tuples(
        st.just("update"),
        st.sampled_from(["", "https://a", "https://b"]),
        st.sampled_from(list(TM)),
        WHEN,
        FAULT,
        FACTS,
    ),
    st.tuples(st.just("target"), st.integers(0, 1023), FACTS),
    st.tuples(st.just("due"), FACTS),
    st.tuples(st.just("clock"), st.integers(NOW, NOW + 99)),
    st.just(("reset",)),
)
CODE = st.sampled_from([2, 3, 4, 5, 6, 7, 8, 400, 503, 600])


def answers(work):
    """The events that the work of `work` can end with."""
    failed = st.tuples(st.just("failed"), CODE, st.just("words"), st.booleans())
    done = {
        "check": st.tuples(st.just("checked"), OFFERS),
        "obtain": st.tuples(st.just("obtained"), OFFERS),
        "install": st.sampled_from([("verified", "ota_1"), ("applied", NOW + 9, "trust store 1 is in force")]),
    }
    return st.one_of(done[work], failed)


def after_reboot():
    return st.sampled_from([
        ("trial", "ota_1", "1.1.0", ""), ("rolled_back", "ota_0", "why"), ("rearm", "ota_0"),
        ("confirmed", "ota_1", NOW + 9),
    ])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_invariants_hold_in_every_life(data):
    state, work, rebooting = fresh(), None, False
    for _ in range(data.draw(st.integers(1, 25))):
        if rebooting:
            event = data.draw(st.one_of(CLIENT, after_reboot()))
        elif work:
            event = data.draw(st.one_of(CLIENT, answers(work), st.just(("resume", "ota_0"))))
        else:
            event = data.draw(CLIENT)
        pending = [event]
        while pending:
            event = pending.pop(0)
            before = dict(state)
            after, effects = step(state, event)
            assert state == before
            invariants(before, event, after, effects)
            state = after
            for effect in effects:
                if effect[0] == "then":
                    pending.append(effect[1])
                elif effect[0] == "run":
                    assert work is None or event[0] not in ("update", "target", "due"), "one action at a time"
                    work = effect[1]
                elif effect[0] == "reboot":
                    rebooting = True
            if event[0] in ("checked", "obtained", "failed", "verified", "applied", "reset", "resume") and not any(
                e[0] == "run" for e in effects
            ):
                work = None
            if event[0] in ("trial", "rolled_back", "confirmed", "reset"):
                rebooting = state["state"] == "upgrading"
        assert (work is not None or rebooting) == (state["running"] != "idle"), (event, state)


def invariants(before, event, after, effects):
    assert after["state"] in CM and after["running"] in TM and after["sched"] in TM
    assert after["tm"] >= 0 and after["tm"] & ~448 == 0
    assert after["result"] in range(9) or 400 <= after["result"] <= 600
    if after["running"] == "idle":
        assert after["tm"] == 0 and after["state"] in ("idle", "nsa", "sva")
        assert action(after) == after["sched"]
    else:
        assert after["result"] == 0 and action(after) == after["running"]
    if after["state"] == "idle":
        assert after["nv"] == "" and after["seq"] == 0
    if after["state"] in ("nsa", "sva"):
        assert after["nv"]
    if after["result"] == 1 and before["result"] != 1:
        assert event[0] in ("confirmed", "applied")
    names = [effect[0] for effect in effects]
    if "refuse" in names:
        assert set(names) <= {"refuse", "save", "notify"}
    if "notify" in names:
        assert names.index("save") < names.index("notify")
    if "reboot" in names:
        assert after["state"] == "upgrading" and names.index("save") < names.index("reboot")
