"""The record of the onboarding state, taken over at the start. A phase."""

from cbor.decoder import DecodeError, decode
from port import const

from ocf.uuids import is_uuid

_RESET = const(0)
_RFOTM = const(1)
_SRESET = const(4)


def take(pstat, data):
    """Have `pstat` be what the record says, if there is one that makes sense."""
    try:
        found = decode(data) if data else {}
        state, om, owner = found["s"], found["om"], found["rowner"]
        good = isinstance(om, int) and isinstance(state, int) and 0 <= state <= _SRESET and is_uuid(owner)
    except (DecodeError, KeyError, TypeError):
        good = False
    if good:
        pstat.state, pstat.om, pstat.rowneruuid = state, om, owner
    if pstat.state == _RESET:
        pstat.state = _RFOTM
        pstat.unfinished = "the power failed in it"
