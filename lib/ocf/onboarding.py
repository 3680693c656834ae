"""The rules of onboarding states: what may be written when. A phase: loaded for such an UPDATE, and at the start."""

from cbor import DecodeError, decode
from coap.message import Refused

from ocf.resource import BAD_REQUEST

_RESET, _RFOTM, _SRESET = 0, 1, 4
# What `dos.s` may be written to, by state: RESET (which ends by itself), RFOTM, RFPRO, RFNOP, SRESET.
_LEGAL = ((), (0, 2, 3), (0, 2, 3, 4), (0, 2, 3, 4), (0, 2, 4))
_HEX = "0123456789abcdefABCDEF"


def target(pstat, values):
    """The state that an UPDATE of `pstat`, which the declaration allows, leads to. Raises Refused 4.00."""
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
    why = pstat.guard(to) if pstat.guard and to != _RESET else None
    if why:
        raise Refused(BAD_REQUEST, why)
    return to


def record(data):
    """(state, om, rowneruuid) of a stored record, or None when there is none that makes sense."""
    if not data:
        return None
    try:
        found = decode(data)
        state, om, owner = found["s"], found["om"], found["rowner"]
    except (DecodeError, KeyError, TypeError):
        return None
    good = isinstance(om, int) and isinstance(state, int) and 0 <= state <= _SRESET and is_uuid(owner)
    return (state, om, owner) if good else None


def is_uuid(text):
    """Whether `text` is a UUID in its 36-character form (RFC 9562)."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    return all(text[i] == "-" if i in (8, 13, 18, 23) else text[i] in _HEX for i in range(36))
