"""What /oic/sec/pstat shows. A phase."""

from cbor import Pairs
from port import const

_RFNOP = const(3)
# cm by state, where no update is shown; tm is 0, save in RESET
_CM = const(b"\x01\x02\x00\x00\x01")
_RESET_TM = const(2)


def shown(pstat):
    """All Properties. In `dos`, `p` says that a change is not complete; the modes are the update's in RFNOP alone."""
    state = pstat.state
    isop = state == _RFNOP
    cm, tm = pstat.modes if isop else (_CM[state], 0 if state else _RESET_TM)
    return [
        ("dos", Pairs((("s", state), ("p", pstat.pending)))), ("isop", isop), ("cm", cm), ("tm", tm),
        ("om", pstat.om), ("sm", pstat.sm), ("rowneruuid", pstat.rowneruuid),
    ]  # fmt: skip
