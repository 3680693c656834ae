"""The update machine: OCF's Tables 3, 4 and 5 as `step(state, event) -> (state, effects)`.

Pure: no clock, no input or output. The state is a plain dict and is its own record:

    purl, when      what a Client wrote: URL, and updatetime in Unix seconds (0: none)
    sched           the scheduled action, "idle" when there is none
    running         the action being done, "idle" when none is; `action(state)` is what swupdateaction shows
    state, result   swupdatestate (Table 3) and swupdateresult (Table 5)
    nv, seq, digest what was offered last: version, sequence number, digest of the manifest; empty in state idle
    source          the purl from which the package of state sva was obtained
    tm              the bits of pstat.tm that are pending
    last            time of the last update, 0 when there was none
    to, tries       the slot that was armed, and how often; before arming, how often resets interrupted the action
                    without its getting any further
    mark            bytes that a download had in the flash when it was last taken up again
    slot            the slot that ran when this was written
    reason          the last result in words

Events are tuples: the name of a function below, and its arguments but for `s`, the state. `facts` in them
is (now, operational, builtin, confirmed): Unix seconds or 0 when the clock is not trusted; pstat is in RFNOP; the
maker built a URL in; the running version was confirmed.

Effects are performed in order: ("refuse", CoAP code, words) the request; ("save",); ("notify",) both Resources;
("timer", when), 0 stops it; ("run", "check" | "obtain" | "install"); ("then", event) is the next event; ("cancel",)
what runs; ("reboot", slot) arms the slot and restarts, in RFNOP only. Who performs them answers with events.
"""

from port import const

# Table 3: state -> pstat.cm (bit 64: version validated, 128: upgrading, 256: new software is available)
CM = {"idle": 0, "nsa": 256, "svv": 256, "sva": 256 | 64, "upgrading": 256 | 128 | 64}

# Table 4: action -> the bit of pstat.tm that asks for the same
TM = {"idle": 0, "isac": 256, "isvv": 64, "upgrade": 128}

# Table 5: the codes that the machine itself gives; the others come from swupdate.faults
_IDLE = const(0)
_SUCCESS = const(1)
_LOST = const(4)
_BAD_URL = const(6)
_FAILED = const(8)

# The state in which an action begins (None: the one before), and what is run in it.
BEGIN = {"isac": (None, "check"), "isvv": ("svv", "obtain"), "upgrade": ("svv", "obtain")}

_BAD_REQUEST = const(0x80)  # CoAP 4.00, 4.03, 5.03
_FORBIDDEN = const(0x83)
_UNAVAILABLE = const(0xA3)

RESUMES = 3  # so often is an action taken up again after resets between which it got no further


def fresh():
    """The state of a Device that was never used, and after RESET."""
    state = {"digest": b""}
    for names, value in (
        (("purl", "nv", "source", "to", "slot", "reason"), ""),
        (("when", "result", "seq", "tm", "last", "tries", "mark"), 0),
        (("sched", "running", "state"), "idle"),
    ):
        for name in names:
            state[name] = value
    return state


def action(state):
    """What `swupdateaction` shows: the action being done, else the scheduled one."""
    return state["running"] if state["running"] != "idle" else state["sched"]


def step(state, event):
    """The state after `event`, and what is to be done; `state` itself is left as it is."""
    after = dict(state)
    return after, globals()[event[0]](after, *event[1:])


# -- what Clients ask


def update(s, purl, what, when, fault, facts):
    """UPDATE of /oc/swu. `when` is "now", "none" or Unix seconds; `fault` None or (result, words) of a bad `purl`."""
    now, operational, builtin, confirmed = facts
    if when == "none":
        what = "idle"
    if purl == "" and not builtin:
        fault = (_BAD_URL, "there is no package URL, and none is built in")
        if what == "idle" and s["running"] == "idle":
            _keep(s, purl, now if when == "now" else 0 if when == "none" else when)
            s["result"], s["reason"] = fault
            return _show(("timer", 0))
    if fault is not None and (purl != "" or what != "idle"):
        if s["state"] == "idle" and s["running"] == "idle":
            s["result"], s["reason"] = fault
            return [("refuse", _BAD_REQUEST, fault[1])] + _show()
        return [("refuse", _BAD_REQUEST, fault[1])]
    if s["running"] != "idle":
        if what != "idle":
            return _busy(s)
        s["sched"] = "idle"
        return _show(("timer", 0))
    if what == "idle":
        _keep(s, purl, now if when == "now" else 0 if when == "none" else when)
        return _show(("timer", 0))
    refused = _closed(operational, confirmed)
    if refused:
        return refused
    if when == "now":
        _keep(s, purl, now)
        return [("timer", 0)] + _start(s, what)
    if not now:
        return [("refuse", _UNAVAILABLE, "the clock is not set yet: only now and none can be used")]
    if when < now:
        return [("refuse", _BAD_REQUEST, "updatetime is in the past")]
    _keep(s, purl, when)
    s["sched"] = what
    return _show(("timer", when))


def _keep(s, purl, when):
    s["purl"], s["when"], s["sched"] = purl, when, "idle"


def target(s, bits, facts):
    """UPDATE of `tm` in pstat: the strongest of the update bits that are set; all other bits mean nothing here."""
    _now, operational, _builtin, confirmed = facts
    for what in ("upgrade", "isvv", "isac"):
        if bits & TM[what]:
            break
    else:
        return []
    refused = _closed(operational, confirmed) if s["running"] == "idle" else _busy(s)
    if refused:
        return refused
    s["tm"] = bits & CM["upgrading"]
    return _start(s, what)


def _busy(s):
    if s["state"] == "upgrading":
        return [("refuse", _UNAVAILABLE, "the device is being upgraded")]
    return [("refuse", _UNAVAILABLE, "%s is being done" % s["running"])]


def _closed(operational, confirmed):
    if not operational:
        return [("refuse", _FORBIDDEN, "actions start in RFNOP only")]
    if not confirmed:
        return [("refuse", _UNAVAILABLE, "the running version is on trial")]
    return None


# -- time


def due(s, facts):
    """The time of the scheduled action has come. While something runs it waits."""
    _now, operational, _builtin, confirmed = facts
    if s["sched"] == "idle" or s["running"] != "idle" or (operational and not confirmed):
        return []
    what, s["sched"] = s["sched"], "idle"
    if operational:
        return [("timer", 0)] + _start(s, what)
    s["reason"] = "%s was dropped: the device was not in RFNOP at its time" % what
    return _show(("timer", 0))


def clock(s, now):
    """The clock is trusted for the first time since the start: a schedule is armed, or its time has passed."""
    if s["sched"] == "idle":
        return []
    if s["when"] >= now:
        return [("timer", s["when"])]
    s["reason"] = "%s was dropped: its time passed while the device was off or its clock was not set" % s["sched"]
    s["sched"] = "idle"
    return _show(("timer", 0))


# -- the way of an action


def _start(s, what):
    begin, work = BEGIN[what]
    s["running"], s["result"], s["reason"], s["tries"], s["mark"] = what, _IDLE, "", 0, 0
    if what == "upgrade" and s["state"] == "sva" and s["source"] == s["purl"]:
        begin, work = "upgrading", "install"
    s["state"] = begin or s["state"]
    return _show(("run", work))


def checked(s, offer):
    """isac is done: `offer` is (version, sequence number, digest of the manifest), or None when nothing is newer."""
    return _end(s, "nsa", _IDLE, "a new version is available", offer) if offer else _nothing(s)


def obtained(s, offer):
    """A package was obtained and validated, or nothing newer was there."""
    if not offer:
        return _nothing(s)
    s["source"] = s["purl"]
    if s["running"] == "isvv":
        return _end(s, "sva", _IDLE, "a new version is ready to be installed", offer)
    s["state"] = "sva"
    s["nv"], s["seq"], s["digest"] = offer
    return _show(("then", ("install",)))


def install(s):
    """upgrade goes on with what was just validated."""
    s["state"] = "upgrading"
    return _show(("run", "install"))


def verified(s, slot):
    """What is in the other `slot` was read once more: try it at the next start."""
    s["to"], s["tries"] = slot, 1
    return [("save",), ("reboot", slot)]


def applied(s, when, reason):
    """What was validated is in force, without a restart: a trust store. `when` is the time of it."""
    if s["state"] != "upgrading":  # a RESET came in between
        return []
    s["last"] = when
    return _end(s, "idle", _SUCCESS, reason)


def _nothing(s):
    return _end(s, "idle", _IDLE, "up to date")


def failed(s, result, text, valid=False):
    """The step that ran failed. `valid`: the other slot still holds a package that may be installed."""
    if s["running"] == "idle":
        return []
    if s["state"] == "upgrading":
        return _end(s, "sva" if valid else "idle", _FAILED, text)
    return _end(s, "nsa" if s["running"] != "isac" and s["nv"] else "idle", result, text)


def _end(s, state, result, reason, offer=None):
    s["running"], s["tm"], s["to"], s["tries"] = "idle", 0, "", 0
    s["state"], s["result"], s["reason"] = state, result, reason
    if state == "idle":
        offer = ("", 0, b"")
    if offer:
        s["nv"], s["seq"], s["digest"] = offer
    return _show()


# -- after a reset (decided by swupdate.boot)


def booted(s, slot):
    """Nothing happened."""
    s["slot"] = slot
    return []


def moved(s, slot, reason):
    """Something else runs, or waits in the other slot, than the record says."""
    s["slot"] = slot
    return _end(s, "idle", s["result"] if s["running"] == "idle" else _FAILED, reason)


def resume(s, slot):
    """An action was interrupted by a reset: go on, but not for ever."""
    s["slot"] = slot
    if s["tries"] >= RESUMES:
        return failed(s, _LOST, "given up: %d resets interrupted it and it got no further" % RESUMES)
    s["tries"] += 1
    if s["running"] == "upgrade" and s["state"] == "sva":
        s["state"] = "upgrading"
    return _show(("run", "install" if s["state"] == "upgrading" else BEGIN[s["running"]][1]))


def found(s, done):
    """The download of a resumed action goes on after `done` bytes: more than last time, and no reset counts any more."""
    if done <= s["mark"]:
        return []
    s["mark"], s["tries"] = done, 0
    return [("save",)]


def rearm(s, slot):
    """The trial was not had, or was cut short by a loss of power: once more."""
    s["slot"] = slot
    s["tries"] += 1
    return _show(("reboot", s["to"]))


def trial(s, slot, version, reason):
    """The running slot is on trial, but not for an update when the record tells of another one."""
    s["tries"] = max(s["tries"], 1) if s["to"] or not s["slot"] else 0
    s["running"], s["state"], s["result"] = "upgrade", "upgrading", _IDLE
    s["slot"] = s["to"] = slot
    s["nv"], s["reason"] = version, reason
    return _show()


def confirmed(s, slot, when):
    """The new version runs and was kept; `when` is the time of it."""
    s["slot"] = slot
    if s["state"] != "upgrading":  # a RESET came in between
        return [("save",)]
    if not s["tries"]:
        return _end(s, "idle", _FAILED, s["reason"])
    s["last"] = when
    return _end(s, "idle", _SUCCESS, "")


def rolled_back(s, slot, reason):
    """The old version runs again."""
    s["slot"] = slot
    return _end(s, "idle", _FAILED, reason)


# -- onboarding states


def reset(s):
    """pstat entered RESET: everything as it was made."""
    slot = s["slot"]
    s.update(fresh())
    s["slot"] = slot
    return [("cancel",)] + _show(("timer", 0))


def _show(*more):
    return [("save",), ("notify",)] + list(more)
