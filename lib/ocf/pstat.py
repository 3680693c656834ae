"""/oic/sec/pstat: onboarding state, current and target mode (OCF Security, provisioning status)."""

import asyncio

from cbor import DecodeError, Pairs, decode, dumps
from coap.message import Refused
from port import const

from ocf.resource import BAD_REQUEST, Property, Resource

RESET, RFOTM, RFPRO, RFNOP, SRESET = range(5)

NIL = "00000000-0000-0000-0000-000000000000"

# What `dos.s` may be written to, by state. RESET leads to RFOTM by itself.
_LEGAL = {
    RESET: (RFOTM,),
    RFOTM: (RESET, RFPRO, RFNOP),
    RFPRO: (RESET, RFPRO, RFNOP, SRESET),
    RFNOP: (RESET, RFPRO, RFNOP, SRESET),
    SRESET: (RESET, RFPRO, SRESET),
}
# cm and tm where no update is shown
_MODES = {RESET: (1, 2), RFOTM: (2, 0), RFPRO: (0, 0), RFNOP: (0, 0), SRESET: (1, 0)}
_SM = const(4)  # client-directed provisioning
_HEX = "0123456789abcdefABCDEF"


class Pstat(Resource):
    """The provisioning status of the Device.

    Hooks, all optional: `guard(state)` -> None or why the state may not be entered; `on_tm(bits)` -> None or a refusal
    (CoAP code, words); `on_state(state)` after every change, RESET included. `show(cm, tm)` is how the update manager
    has its modes shown, while the Device is in RFNOP.
    """

    href = "/oic/sec/pstat"
    rt = ("oic.r.pstat",)
    dcr = True
    properties = (
        Property("dos", dict, "rw"),
        Property("isop", bool),
        Property("cm", int),
        Property("tm", int, "rw", minimum=0, maximum=65535),
        Property("om", int, "rw", minimum=1, maximum=7),
        Property("sm", int),
        Property("rowneruuid", str, "rw", format="uuid"),
    )
    sm = _SM

    def __init__(self, store, state=RFOTM):
        super().__init__(om=_SM, rowneruuid=NIL)
        self._store = store
        self.state = state
        self.pending = False
        self._modes = (0, 0)
        self.guard = self.on_tm = self.on_state = None
        self._load()

    @property
    def dos(self):
        """The onboarding state: `s`, and `p` while a change is not complete."""
        return Pairs([("s", self.state), ("p", self.pending)])

    @property
    def isop(self):
        """Whether the Device does what it is made for."""
        return self.state == RFNOP

    operational = isop

    @property
    def cm(self):
        """Current mode."""
        return self._modes[0] if self.state == RFNOP else _MODES[self.state][0]

    @property
    def tm(self):
        """Target mode: the bits that are pending."""
        return self._modes[1] if self.state == RFNOP else _MODES[self.state][1]

    def show(self, cm, tm):
        """Have the update's modes shown; the caller notifies."""
        self._modes = (cm, tm)

    def update(self, values):
        """Take an UPDATE as a whole or not at all. Raises Refused 4.00, or what `on_tm` answers."""
        target = self.state
        if "dos" in values:
            target = self._target(values["dos"])
        if "om" in values and not values["om"] & _SM:
            raise Refused(BAD_REQUEST, "om %d is not supported, see sm" % values["om"])
        if "rowneruuid" in values:
            if self.state not in (RFOTM, SRESET):
                raise Refused(BAD_REQUEST, "rowneruuid is read-only in this state")
            if not is_uuid(values["rowneruuid"]):
                raise Refused(BAD_REQUEST, "rowneruuid is not a UUID")
        if values.get("tm") and self.on_tm:
            refused = self.on_tm(values["tm"])
            if refused:
                raise Refused(refused[0], refused[1])
        self.om = values.get("om", self.om)
        self.rowneruuid = values.get("rowneruuid", self.rowneruuid)
        if target == RESET:
            self.pending = True
            asyncio.create_task(self._reset())  # the answer goes out first
        elif target != self.state:
            self.enter(target)
        elif "om" in values or "rowneruuid" in values:
            self._save()
        else:
            return  # what comes of `tm` is told by the update
        self.notify()

    def enter(self, state):
        """Be in `state`, which was found legal, and say so to whoever listens."""
        self.state = state
        self._save()
        if self.on_state:
            self.on_state(state)

    def reset(self):
        """RESET, with all that hangs on it, and then RFOTM."""
        self.om, self.rowneruuid, self.pending = _SM, NIL, True
        self.enter(RESET)
        self.pending = False
        self.enter(RFOTM)
        self.notify()

    async def _reset(self):
        await asyncio.sleep(0)
        self.reset()

    def _target(self, dos):
        for name in dos:
            if name != "s":
                raise Refused(BAD_REQUEST, "of dos only s can be written")
        state = dos.get("s")
        if state is True or state is False or not isinstance(state, int) or state not in _LEGAL:
            raise Refused(BAD_REQUEST, "dos.s must be 0 to 4")
        if state not in _LEGAL[self.state]:
            raise Refused(BAD_REQUEST, "dos.s cannot go from %d to %d" % (self.state, state))
        why = self.guard(state) if self.guard and state != RESET else None
        if why:
            raise Refused(BAD_REQUEST, why)
        return state

    def _save(self):
        record = {"v": 1, "s": self.state, "om": self.om, "rowner": self.rowneruuid}
        try:
            self._store.save("pstat", dumps(record))
        except OSError as error:
            raise Refused(0xA0, "the state could not be stored: %s" % error)  # noqa: B904

    def _load(self):
        data = self._store.load("pstat")
        if not data:
            return
        try:
            record = decode(data)
            state, om, owner = record["s"], record["om"], record["rowner"]
        except (DecodeError, KeyError, TypeError):
            return
        if state in (RFOTM, RFPRO, RFNOP, SRESET) and isinstance(om, int) and is_uuid(owner):
            self.state, self.om, self.rowneruuid = state, om, owner
        elif state == RESET:  # the power failed in RESET
            self.state = RFOTM


def is_uuid(text):
    """Whether `text` is a UUID in its 36-character form (RFC 9562)."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    for i in range(36):
        if (text[i] != "-") if i in (8, 13, 18, 23) else (text[i] not in _HEX):
            return False
    return True
