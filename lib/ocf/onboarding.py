"""Onboarding states: what may be written when, and RESET. A phase."""

from cbor import dumps
from coap.message import Refused
from port import const

from ocf.pstat import NIL
from ocf.resource import BAD_REQUEST, Property
from ocf.uuids import is_uuid

_RESET = const(0)
_RFOTM = const(1)
_SRESET = const(4)
_RESET_OM = const(3)  # what a Device shows until its onboarding tool says how it will work
# What `dos.s` may be written to, by state: RESET (which ends by itself), RFOTM, RFPRO, RFNOP, SRESET.
_LEGAL = const(((), (0, 2, 3), (0, 2, 3, 4), (0, 2, 3, 4), (0, 2, 4)))

PROPERTIES = (
    Property("dos", dict, "rw"),
    Property("isop", bool),
    Property("cm", int),
    Property("tm", int, "rw", minimum=0, maximum=65535),
    Property("om", int, "rw", minimum=1, maximum=7),
    Property("sm", int),
    Property("rowneruuid", str, "rw", format="uuid"),
)


def update(pstat, values):
    """An UPDATE of `pstat`, which the declaration allows, as a whole or not at all. Raises Refused."""
    state = _target(pstat, values)
    om = values.get("om", pstat.om)
    owner = values.get("rowneruuid", pstat.rowneruuid)
    _save(pstat, state, om, owner)
    try:
        pstat.aim(values.get("tm"))
    except (Refused, MemoryError):
        _save(pstat, pstat.state, pstat.om, pstat.rowneruuid)
        raise
    pstat.om = om
    pstat.rowneruuid = owner
    if state == _RESET:
        pstat.begin_reset()
    elif state != pstat.state:
        _enter(pstat, state)
    pstat.notify()


def reset(pstat):
    """RESET, then RFOTM. Raises Refused 5.00."""
    _save(pstat, _RESET, pstat.om, pstat.rowneruuid)
    pstat.pending = True
    _enter(pstat, _RESET)
    _save(pstat, _RFOTM, _RESET_OM, NIL)
    pstat.om = _RESET_OM
    pstat.rowneruuid = NIL
    pstat.pending = False
    pstat.unfinished = None
    _enter(pstat, _RFOTM)
    pstat.notify()


def _enter(pstat, state):
    """Be in `state`, which was found legal and recorded, and say so to whoever hangs on it."""
    pstat.state = state
    if pstat.on_state:
        pstat.on_state(state)


def _save(pstat, state, om, owner):
    try:
        pstat.store.save("pstat", dumps({"v": 1, "s": state, "om": om, "rowner": owner}))
    except OSError as error:
        raise Refused(0xA0, "the state could not be stored: %s" % error)  # noqa: B904 - no `from` on MicroPython


def _target(pstat, values):
    state = pstat.state
    if state == _RESET:
        raise Refused(BAD_REQUEST, "the Device is being reset")
    if "om" in values and not values["om"] & pstat.sm:
        raise Refused(BAD_REQUEST, "om %d is not supported, see sm" % values["om"])
    if "rowneruuid" in values:
        if state not in (_RFOTM, _SRESET):
            raise Refused(BAD_REQUEST, "rowneruuid is read-only in this state")
        if not is_uuid(values["rowneruuid"]):
            raise Refused(BAD_REQUEST, "rowneruuid is not a UUID")
        values["rowneruuid"] = values["rowneruuid"].lower()
    if "dos" not in values:
        return state
    dos = values["dos"]
    for name in dos:
        if name != "s":
            raise Refused(BAD_REQUEST, "of dos only s can be written")
    to = dos.get("s")
    if isinstance(to, bool) or not isinstance(to, int) or not 0 <= to <= _SRESET:
        raise Refused(BAD_REQUEST, "dos.s must be 0 to 4")
    if to not in _LEGAL[state]:
        raise Refused(BAD_REQUEST, "dos.s cannot go from %d to %d" % (state, to))
    kept = pstat.rowneruuid
    pstat.rowneruuid = values.get("rowneruuid", kept)  # the guard is about what will be
    try:
        why = pstat.guard(to) if pstat.guard and to != _RESET else None
    finally:
        pstat.rowneruuid = kept
    if why:
        raise Refused(BAD_REQUEST, why)
    return to
