"""The update machine against OCF's Tables 3, 4 and 5 and the decisions about them; no I/O anywhere."""

from swupdate.machine import BEGIN, CM, RESUMES, TM, action, fresh, step

NOW = 1900000000
OPEN = (NOW, True, False, True)  # clock trusted, RFNOP, no built-in URL, confirmed
UNSET = (0, True, False, True)
CLOSED = (NOW, False, False, True)
BUILTIN = (NOW, True, True, True)
UNCONFIRMED = (NOW, True, False, False)
URL = "https://myvendor/new"
OFFER = ("1.1.0", 7, b"\x11" * 32)
STATES = ("idle", "nsa", "svv", "sva", "upgrading")
SHOWN = [("save",), ("notify",)]


def at(state, **more):
    """A Device in `state`, with nothing running unless said so."""
    s = fresh()
    s["state"], s["purl"] = state, URL
    if state != "idle":
        s["nv"], s["seq"], s["digest"] = OFFER
    if state == "sva":
        s["source"] = URL
    if state == "svv":
        s["running"] = "isvv"
    if state == "upgrading":
        s["running"], s["source"] = "upgrade", URL
    s.update(more)
    return s


def shown(s):
    return s["state"], CM[s["state"]], action(s), s["result"], s["tm"]


def post(s, what, when, purl=URL, fault=None, facts=OPEN):
    return step(s, ("update", purl, what, when, fault, facts))


def refused(effects):
    return effects[0][1] if effects and effects[0][0] == "refuse" else None


def names(effects):
    return [effect[0] for effect in effects]


# -- Tables


def test_table_3_bits_of_every_state():
    bits = {s: tuple(int(CM[s] & b != 0) for b in (64, 128, 256)) for s in STATES}
    assert bits == {
        "idle": (0, 0, 0), "nsa": (0, 0, 1), "svv": (0, 0, 1), "sva": (1, 0, 1), "upgrading": (1, 1, 1),
    }  # fmt: skip


def test_table_3_every_permitted_predecessor_is_taken():
    # The Table names every other state as one from which a state may be entered.
    entered = set()

    def go(before, event):
        after, _effects = step(before, event)
        entered.add((before["state"], after["state"]))

    for a in STATES:
        start = at(a, running="idle")
        go(start, ("target", 64, OPEN))  # to svv
        go(start, ("target", 128, OPEN))  # to svv, from sva to upgrading
        for running in ("isac", "isvv", "upgrade"):
            busy = at(a, running=running)
            go(busy, ("checked", OFFER))
            go(busy, ("checked", None))
            go(busy, ("obtained", OFFER))
            go(busy, ("install",))
            go(busy, ("failed", 8, "x", True))
            go(busy, ("failed", 4, "x", False))
        go(start, ("trial", "ota_1", "1.1.0", ""))
        go(start, ("rolled_back", "ota_0", "x"))
    for a in STATES:
        for b in STATES:
            assert a == b or (a, b) in entered, (a, b)


def test_table_4_every_action_by_hand_and_by_time():
    for what, bit, begins, run in (
        ("isac", 256, "idle", "check"),
        ("isvv", 64, "svv", "obtain"),
        ("upgrade", 128, "svv", "obtain"),
    ):
        assert TM[what] == bit
        s, effects = step(at("idle"), ("target", bit, OPEN))
        assert shown(s) == (begins, CM[begins], what, 0, bit)
        assert effects == SHOWN + [("run", run)]
        s, effects = post(at("idle"), what, "now")
        assert shown(s) == (begins, CM[begins], what, 0, 0)
        assert s["when"] == NOW and ("run", run) in effects and refused(effects) is None
        s, effects = post(at("idle"), what, NOW + 5)
        assert shown(s) == ("idle", 0, what, 0, 0) and s["when"] == NOW + 5
        assert effects == SHOWN + [("timer", NOW + 5)]
        s, effects = step(s, ("due", (NOW + 5, True, False, True)))
        assert shown(s) == (begins, CM[begins], what, 0, 0) and s["sched"] == "idle"
        assert ("run", run) in effects


def test_table_5_a_failure_keeps_its_code():
    for code in (2, 3, 4, 5, 6, 7, 8, 400, 404, 503, 600):
        s, effects = step(at("idle", running="isac"), ("failed", code, "words"))
        assert shown(s) == ("idle", 0, "idle", code, 0) and s["reason"] == "words" and effects == SHOWN
        s, _ = step(at("svv"), ("failed", code, "words"))
        assert s["result"] == code


# -- the typical ways


def test_check():
    s, _ = step(at("idle"), ("target", 256, OPEN))
    assert shown(s) == ("idle", 0, "isac", 0, 256)
    found, effects = step(s, ("checked", OFFER))
    assert shown(found) == ("nsa", 256, "idle", 0, 0) and found["nv"] == "1.1.0" and effects == SHOWN
    none, effects = step(s, ("checked", None))
    assert shown(none) == ("idle", 0, "idle", 0, 0)
    assert none["nv"] == "" and none["reason"] == "up to date" and effects == SHOWN
    failed, _ = step(at("nsa", running="isac"), ("failed", 4, "x"))
    assert shown(failed) == ("idle", 0, "idle", 4, 0) and failed["nv"] == ""


def test_validation():
    s, _ = step(at("nsa"), ("target", 64, OPEN))
    assert shown(s) == ("svv", 256, "isvv", 0, 64)
    done, effects = step(s, ("obtained", OFFER))
    assert shown(done) == ("sva", 320, "idle", 0, 0) and effects == SHOWN
    failed, _ = step(s, ("failed", 5, "x"))
    assert shown(failed) == ("nsa", 256, "idle", 5, 0) and failed["nv"] == "1.1.0"
    gone, _ = step(s, ("obtained", None))
    assert shown(gone) == ("idle", 0, "idle", 0, 0) and gone["reason"] == "up to date" and gone["nv"] == ""
    s, _ = step(at("idle"), ("target", 64, OPEN))
    failed, _ = step(s, ("failed", 5, "x"))
    assert shown(failed) == ("idle", 0, "idle", 5, 0)


def test_upgrade_from_what_was_validated():
    s, effects = step(at("sva"), ("target", 128, OPEN))
    assert shown(s) == ("upgrading", 448, "upgrade", 0, 128) and effects[-1] == ("run", "install")
    s, effects = step(s, ("verified", "ota_1"))
    assert effects == [("save",), ("reboot", "ota_1")] and s["to"] == "ota_1" and s["tries"] == 1
    s, _ = step(s, ("trial", "ota_1", "1.1.0", ""))
    assert shown(s) == ("upgrading", 448, "upgrade", 0, 128)
    s, _ = step(s, ("confirmed", "ota_1", NOW + 60))
    assert shown(s) == ("idle", 0, "idle", 1, 0) and s["last"] == NOW + 60 and s["nv"] == "" and s["purl"] == URL


def test_upgrade_obtains_what_is_missing_and_shows_each_step():
    s, effects = step(at("idle"), ("target", 128, OPEN))
    seen = [shown(s)]
    s, effects = step(s, ("obtained", OFFER))
    seen.append(shown(s))
    assert effects == SHOWN + [("then", ("install",))]
    s, effects = step(s, effects[-1][1])
    seen.append(shown(s))
    assert seen == [
        ("svv", 256, "upgrade", 0, 128), ("sva", 320, "upgrade", 0, 128), ("upgrading", 448, "upgrade", 0, 128),
    ]  # fmt: skip
    assert effects == SHOWN + [("run", "install")]


def test_upgrade_that_finds_nothing_newer():
    s, _ = step(at("idle"), ("target", 128, OPEN))
    s, effects = step(s, ("obtained", None))
    assert shown(s) == ("idle", 0, "idle", 0, 0) and "run" not in names(effects) and "then" not in names(effects)


def test_upgrade_does_not_install_what_another_url_gave():
    s, effects = post(at("sva"), "upgrade", "now", purl="https://myvendor/other")
    assert s["state"] == "svv" and effects[-1] == ("run", "obtain")
    s, effects = post(at("sva"), "upgrade", "now")
    assert s["state"] == "upgrading" and effects[-1] == ("run", "install")


def test_upgrade_that_fails():
    obtaining, _ = step(at("nsa"), ("target", 128, OPEN))
    assert shown(step(obtaining, ("failed", 404, "x"))[0]) == ("nsa", 256, "idle", 404, 0)
    arming, _ = step(at("sva"), ("target", 128, OPEN))
    assert shown(step(arming, ("failed", 3, "x", True))[0]) == ("sva", 320, "idle", 8, 0)
    assert shown(step(arming, ("failed", 5, "x", False))[0]) == ("idle", 0, "idle", 8, 0)


def test_a_trust_store_is_in_force_without_a_restart():
    s, _ = step(at("sva"), ("target", 128, OPEN))
    s, effects = step(s, ("applied", NOW + 60, "trust store 3 is in force"))
    assert shown(s) == ("idle", 0, "idle", 1, 0) and effects == SHOWN
    assert (s["last"], s["nv"], s["to"], s["reason"]) == (NOW + 60, "", "", "trust store 3 is in force")
    for state in ("idle", "nsa", "sva"):  # a RESET came in between
        s, effects = step(at(state), ("applied", NOW, "x"))
        assert s == at(state) and not effects


def test_rolled_back():
    s = at("upgrading", tm=128, to="ota_1", tries=1)
    s, _ = step(s, ("rolled_back", "ota_0", "the watchdog ended its trial"))
    assert shown(s) == ("idle", 0, "idle", 8, 0) and s["reason"] == "the watchdog ended its trial"
    assert s["nv"] == "" and s["to"] == "" and s["slot"] == "ota_0" and s["last"] == 0


def test_a_failed_step_starts_nothing():  # the reference's UpgradeNoNextStep
    for state in STATES:
        for running in ("isac", "isvv", "upgrade"):
            _, effects = step(at(state, running=running), ("failed", 4, "x"))
            assert "run" not in names(effects) and "then" not in names(effects) and "reboot" not in names(effects)


def test_checks_and_validations_are_not_chained():
    for state, running, event in (("idle", "isac", "checked"), ("svv", "isvv", "obtained")):
        assert step(at(state, running=running), (event, OFFER))[1] == SHOWN


# -- UPDATE of /oc/swu


def test_idle_sets_the_url_and_keeps_the_time_whatever_it_is():
    for when, kept in ((NOW - 9, NOW - 9), (NOW + 9, NOW + 9), (-5, -5), ("none", 0), ("now", NOW)):
        s, effects = post(at("idle", purl=""), "idle", when)
        assert (s["purl"], s["when"], action(s)) == (URL, kept, "idle") and refused(effects) is None
    s, _ = post(at("idle"), "idle", "now", facts=UNSET)
    assert s["when"] == 0


def test_none_schedules_nothing():
    for what in TM:
        s, effects = post(at("idle", sched="isac", when=NOW + 9), what, "none")
        assert action(s) == "idle" and s["when"] == 0 and ("timer", 0) in effects and refused(effects) is None


def test_a_past_time_is_refused_and_nothing_changes():
    for what in ("isac", "isvv", "upgrade"):
        for state in ("idle", "nsa", "sva"):
            before = at(state)
            s, effects = post(before, what, NOW - 1, purl=URL + "2")
            assert refused(effects) == 0x80 and len(effects) == 1 and s == before


def test_without_a_clock():
    s, effects = post(at("idle"), "isac", NOW, facts=UNSET)
    assert refused(effects) == 0xA3 and s == at("idle")
    assert refused(post(at("idle"), "idle", NOW, facts=UNSET)[1]) is None
    s, effects = post(at("idle"), "isac", "now", facts=UNSET)
    assert refused(effects) is None and s["running"] == "isac" and s["when"] == 0
    assert refused(post(at("idle"), "isac", "none", facts=UNSET)[1]) is None


def test_a_new_update_replaces_the_schedule():
    s, effects = post(at("idle", sched="upgrade", when=NOW + 99), "isac", NOW + 5)
    assert (s["sched"], s["when"]) == ("isac", NOW + 5) and effects[-1] == ("timer", NOW + 5)
    s, effects = post(s, "idle", NOW + 50)
    assert s["sched"] == "idle" and effects[-1] == ("timer", 0)
    s, effects = post(at("idle", sched="upgrade", when=NOW + 99), "isac", "now")
    assert s["sched"] == "idle" and ("timer", 0) in effects


def test_a_bad_url_is_told_only_when_idle():
    for code in (6, 7):
        s, effects = post(at("idle", sched="isac", when=NOW + 9), "isac", "now", purl="x", fault=(code, "words"))
        assert refused(effects) == 0x80 and effects[1:] == SHOWN
        assert s == at("idle", sched="isac", when=NOW + 9, result=code, reason="words")
        for before in (at("nsa"), at("sva"), at("svv"), at("upgrading"), at("idle", running="isac")):
            s, effects = post(before, "idle", "now", purl="x", fault=(code, "words"))
            assert refused(effects) == 0x80 and len(effects) == 1 and s == before


def test_no_url_and_none_built_in():
    s, effects = post(at("idle"), "idle", "now", purl="")
    assert refused(effects) is None and s["purl"] == "" and s["result"] == 6
    for what in ("isac", "isvv", "upgrade"):
        s, effects = post(at("idle"), what, "now", purl="")
        assert refused(effects) == 0x80 and s["result"] == 6 and s["purl"] == URL and s["running"] == "idle"
        s, effects = post(at("idle"), what, "now", purl="", facts=BUILTIN)
        assert refused(effects) is None and s["purl"] == "" and s["running"] == what
    s, effects = post(at("idle"), "idle", "now", purl="", facts=BUILTIN)
    assert s["result"] == 0
    # By hand the write itself is well formed: it is taken, and the work then fails with 6.
    s, effects = step(at("idle", purl=""), ("target", 256, OPEN))
    assert refused(effects) is None and effects[-1] == ("run", "check")


def test_while_an_action_runs():
    for before in (at("idle", running="isac"), at("svv"), at("svv", running="upgrade"), at("upgrading", to="ota_1")):
        before.update({"sched": "isac", "when": NOW + 9, "tm": 64})
        for what in ("isac", "isvv", "upgrade"):
            for when in ("now", NOW + 5):
                s, effects = post(before, what, when, purl=URL + "2")
                assert refused(effects) == 0xA3 and len(effects) == 1 and s == before
        for bits in (64, 128, 256, 448):
            s, effects = step(before, ("target", bits, OPEN))
            assert refused(effects) == 0xA3 and s == before
        for bits in (0, 1, 2, 4, 8, 16, 32, 512):
            assert step(before, ("target", bits, OPEN)) == (before, [])
        s, effects = post(before, "idle", "now", purl=URL + "2")
        expected = dict(before)
        expected["sched"] = "idle"
        assert s == expected and refused(effects) is None and effects[-1] == ("timer", 0)


def test_outside_rfnop_and_in_a_trial():
    for facts, code in ((CLOSED, 0x83), (UNCONFIRMED, 0xA3)):
        for what in ("isac", "isvv", "upgrade"):
            for when in ("now", NOW + 5):
                s, effects = post(at("idle"), what, when, purl=URL + "2", facts=facts)
                assert refused(effects) == code and s == at("idle")
            s, effects = step(at("idle"), ("target", TM[what], facts))
            assert refused(effects) == code and s == at("idle")
        s, effects = post(at("idle", purl=""), "idle", "now", facts=facts)
        assert s["purl"] == URL and refused(effects) is None
        assert step(at("idle"), ("target", 1, facts))[1] == []


def test_cancelling_while_running_needs_no_url():
    s, effects = post(at("svv", sched="isac", when=NOW + 9), "idle", "now", purl="")
    assert refused(effects) is None and s == at("svv", when=NOW + 9) and effects == SHOWN + [("timer", 0)]
    s, effects = post(at("idle", sched="isac", when=NOW + 9), "idle", "none", purl="")
    assert s["sched"] == "idle" and s["result"] == 6 and effects == SHOWN + [("timer", 0)]


def test_this_very_second_is_not_past():
    s, effects = post(at("idle"), "isac", NOW)
    assert refused(effects) is None and effects[-1] == ("timer", NOW)
    s, effects = step(s, ("clock", NOW))
    assert effects == [("timer", NOW)]


def test_refusals_say_what_is_going_on():
    assert "isac" in step(at("idle", running="isac"), ("target", 64, OPEN))[1][0][2]
    assert "upgraded" in step(at("upgrading"), ("target", 64, OPEN))[1][0][2]
    assert "trial" in step(at("idle"), ("target", 64, UNCONFIRMED))[1][0][2]
    assert "RFNOP" in step(at("idle"), ("target", 64, CLOSED))[1][0][2]


def test_what_was_obtained_is_remembered():
    for running in ("isvv", "upgrade"):
        s, _ = step(at("svv", running=running, nv="", seq=0, digest=b""), ("obtained", OFFER))
        assert (s["nv"], s["seq"], s["digest"], s["source"]) == OFFER + (URL,)


def test_the_slot_that_runs_is_remembered():
    for event in (
        ("booted", "ota_9"), ("moved", "ota_9", "x"), ("rearm", "ota_9"), ("trial", "ota_9", "1", ""),
        ("rolled_back", "ota_9", "x"), ("confirmed", "ota_9", NOW),
    ):  # fmt: skip
        assert step(at("upgrading"), event)[0]["slot"] == "ota_9"
    assert step(at("idle"), ("confirmed", "ota_9", NOW))[0]["slot"] == "ota_9"
    assert step(at("upgrading"), ("trial", "ota_9", "1", ""))[0]["to"] == "ota_9"


def test_a_late_failure_changes_nothing():
    assert step(at("nsa"), ("failed", 4, "x")) == (at("nsa"), [])


def test_a_resumed_validation_stays_one():
    s, effects = step(at("sva", running="isac"), ("resume", "ota_0"))
    assert s["state"] == "sva" and effects[-1] == ("run", "check")


# -- tm


def test_the_strongest_of_several_bits():
    for bits, what in (
        (192, "upgrade"),
        (384, "upgrade"),
        (448, "upgrade"),
        (320, "isvv"),
        (257, "isac"),
        (66, "isvv"),
    ):
        s, _ = step(at("idle"), ("target", bits, OPEN))
        assert s["running"] == what and s["tm"] == bits & 448
        s, _ = step(s, ("failed", 4, "x"))
        assert s["tm"] == 0


def test_bits_without_meaning():
    for bits in (0, 1, 2, 4, 8, 16, 32, 63, 512, 1 << 15):
        assert step(at("idle"), ("target", bits, OPEN)) == (at("idle"), [])


def test_a_manual_action_keeps_the_schedule():
    s = at("idle", sched="upgrade", when=NOW + 99)
    s, _ = step(s, ("target", 256, OPEN))
    assert action(s) == "isac"
    s, _ = step(s, ("checked", OFFER))
    assert action(s) == "upgrade" and s["when"] == NOW + 99


# -- time


def test_due_while_something_runs_waits():
    s = at("svv", sched="isac", when=NOW)
    assert step(s, ("due", OPEN)) == (s, [])
    s, _ = step(s, ("obtained", OFFER))
    s, effects = step(s, ("due", OPEN))
    assert s["running"] == "isac" and ("run", "check") in effects


def test_due_outside_rfnop_is_dropped():
    s, effects = step(at("idle", sched="isac", when=NOW), ("due", CLOSED))
    assert action(s) == "idle" and "RFNOP" in s["reason"] and s["result"] == 0 and "run" not in names(effects)


def test_due_in_a_trial_waits():
    s = at("idle", sched="isac", when=NOW)
    assert step(s, ("due", UNCONFIRMED)) == (s, [])
    assert step(s, ("due", (NOW, False, False, False)))[0]["sched"] == "idle"


def test_the_clock_becomes_trusted():
    s = at("idle", sched="isac", when=NOW + 9, result=5)
    assert step(s, ("clock", NOW)) == (s, [("timer", NOW + 9)])
    s, effects = step(s, ("clock", NOW + 10))
    assert action(s) == "idle" and s["result"] == 5 and "passed" in s["reason"] and effects == SHOWN + [("timer", 0)]
    assert step(at("idle"), ("clock", NOW)) == (at("idle"), [])


# -- after a reset


def test_interrupted_actions_resume_but_not_for_ever():
    for before, run in (
        (at("idle", running="isac", tm=256), "check"),
        (at("svv", tm=64), "obtain"),
        (at("svv", running="upgrade", tm=128), "obtain"),
        (at("sva", running="upgrade", tm=128), "install"),
        (at("upgrading", tm=128), "install"),
    ):
        s = before
        for _ in range(RESUMES):
            s, effects = step(s, ("resume", "ota_0"))
            assert effects[-1] == ("run", run) and s["tm"] == before["tm"] and s["slot"] == "ota_0"
        s, effects = step(s, ("resume", "ota_0"))
        assert "run" not in names(effects) and action(s) == "idle" and s["tm"] == 0
        assert s["result"] == (8 if run == "install" else 4) and "interrupted" in s["reason"]


def test_rearm_counts():
    s, effects = step(at("upgrading", to="ota_1", tries=1), ("rearm", "ota_0"))
    assert s["tries"] == 2 and effects[-1] == ("reboot", "ota_1")


def test_a_trial_that_no_update_asked_for_is_no_success():
    """What ran was damaged, and rescue had the other slot started."""
    s = at("idle")
    s["slot"] = "ota_1"
    s, _ = step(s, ("trial", "ota_0", "1.0.0", "ota_1 is damaged"))
    s, _ = step(s, ("confirmed", "ota_0", NOW))
    assert shown(s)[2:4] == ("idle", 8) and s["reason"] == "ota_1 is damaged" and s["last"] != NOW


def test_a_trial_without_a_record():
    s, _ = step(at("idle"), ("trial", "ota_1", "1.1.0", "unknown"))
    assert shown(s) == ("upgrading", 448, "upgrade", 0, 0) and s["nv"] == "1.1.0" and s["reason"] == "unknown"
    s, _ = step(s, ("confirmed", "ota_1", NOW))
    assert shown(s) == ("idle", 0, "idle", 1, 0)


def test_moved():
    s, _ = step(at("sva", result=4), ("moved", "ota_1", "x"))
    assert shown(s) == ("idle", 0, "idle", 4, 0) and s["reason"] == "x"
    s, _ = step(at("svv"), ("moved", "ota_1", "x"))
    assert shown(s) == ("idle", 0, "idle", 8, 0)


def test_reset_restores_everything():
    for state in STATES:
        s, effects = step(at(state, sched="isac", when=9, result=5, last=3, tm=64, slot="ota_1"), ("reset",))
        expected = fresh()
        expected["slot"] = "ota_1"
        assert s == expected and effects[0] == ("cancel",) and ("timer", 0) in effects
    s, _ = step(s, ("confirmed", "ota_1", NOW))
    assert s["result"] == 0


# -- everything with everything

EVENTS = (
    [("update", p, a, w, f, x) for p in ("", URL) for a in TM for w in ("now", "none", NOW - 1, NOW + 1)
     for f in (None, (6, "x")) for x in (OPEN, UNSET, CLOSED, BUILTIN, UNCONFIRMED)]
    + [("target", t, x) for t in (0, 1, 64, 128, 256, 448) for x in (OPEN, CLOSED, UNCONFIRMED)]
    + [("due", x) for x in (OPEN, CLOSED, UNCONFIRMED)]
    + [("clock", NOW), ("checked", None), ("checked", OFFER), ("obtained", None), ("obtained", OFFER), ("install",)]
    + [("verified", "ota_1"), ("failed", 4, "x"), ("failed", 5, "x", True), ("booted", "ota_0"), ("resume", "ota_0")]
    + [("moved", "ota_1", "x"), ("rearm", "ota_0"), ("trial", "ota_1", "2", ""), ("confirmed", "ota_1", NOW)]
    + [("rolled_back", "ota_0", "x"), ("reset",)]
)  # fmt: skip


def check(before, event, after, effects):
    """What holds after every step."""
    kept = dict(before)
    assert set(after) == set(fresh()) and after["state"] in CM and after["running"] in TM and after["sched"] in TM
    found = names(effects)
    if refused(effects):
        assert "run" not in found and "reboot" not in found
        kept["result"], kept["reason"] = after["result"], after["reason"]
        assert after == kept, event
    if {k: after[k] for k in after if k != "slot"} != {k: before[k] for k in before if k != "slot"}:
        assert "save" in found, event
    visible = ("purl", "when", "state", "result", "nv", "tm", "last", "reason")
    if any(after[k] != before[k] for k in visible) or action(after) != action(before):
        assert "notify" in found and found.index("save") < found.index("notify"), event
    if found.count("run") + found.count("then"):
        assert after["running"] != "idle" and after["result"] == before["result"] or after["result"] == 0, event
    if after["running"] == "idle":
        assert after["tm"] == 0, event
    if after["state"] == "idle" and before["state"] != "idle":
        assert after["nv"] == "" and after["digest"] == b"", event


def test_every_state_with_every_event():
    for state in STATES:
        for running in TM:
            if running == "idle" and state in ("svv", "upgrading"):
                continue  # no event leads there
            for sched in ("idle", "isvv"):
                before = at(state, running=running, sched=sched, when=NOW + 9, tm=TM[running])
                copy = dict(before)
                for event in EVENTS:
                    if running == "idle" and event[0] in ("checked", "obtained", "install", "verified", "resume"):
                        continue
                    after, effects = step(before, event)
                    assert before == copy, "the state was changed in place"
                    check(before, event, after, effects)


def test_begin_is_table_4():
    assert set(BEGIN) | {"idle"} == set(TM)


def test_a_download_that_gets_further_between_resets_goes_on():
    s = at("svv")
    for done in (4096, 8192, 8192 + 4096, 40960):
        for _ in range(RESUMES):  # the power may fail before anything is known, too
            s, effects = step(s, ("resume", "ota_0"))
            assert effects[-1] == ("run", "obtain")
        s, effects = step(s, ("found", done))
        assert effects == [("save",)] and (s["mark"], s["tries"]) == (done, 0)
    for _ in range(RESUMES):
        s, effects = step(s, ("resume", "ota_0"))
        s, more = step(s, ("found", 40960))  # no further than last time
        assert effects[-1] == ("run", "obtain") and more == []
    s, effects = step(s, ("resume", "ota_0"))
    assert s["result"] == 4 and "no further" in s["reason"] and s["mark"] == 40960
    s, _ = post(s, "isvv", "now")
    assert s["mark"] == 0
