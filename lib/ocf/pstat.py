"""/oic/sec/pstat: onboarding state, current and target mode (OCF Security, provisioning status)."""

import asyncio

from cbor import Pairs, dumps
from coap.message import Refused
from port import const, phase

from ocf.resource import Property, Resource

RESET, RFOTM, RFPRO, RFNOP, SRESET = range(5)

NIL = "00000000-0000-0000-0000-000000000000"

# cm by state, where no update is shown; tm is 0, save in RESET
_CM = b"\x01\x02\x00\x00\x01"
_RESET_TM = const(2)
_SM = const(4)  # client-directed provisioning


class Pstat(Resource):
    """The provisioning status of the Device.

    `state` is that of a Device without a record. Hooks, all optional: `guard(state)` -> None or why the state may not
    be entered; `on_tm(bits)` -> None or a refusal (CoAP code, words); `on_state(state)` after every change, RESET
    included. `show(cm, tm)` is how the update manager has its modes shown, while the Device is in RFNOP. `unfinished`
    is true when the power failed in RESET: then `reset()` is to be called again when all who hear of it are there.
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
    sm = om = _SM
    rowneruuid = NIL
    pending = unfinished = False
    guard = on_tm = on_state = None
    _modes = (0, 0)

    def __init__(self, store, state=RFOTM):
        super().__init__(state=state, _store=store)
        with phase("ocf.onboarding") as rules:
            found = rules.record(store.load("pstat"))
        if found:
            self.state, self.om, self.rowneruuid = found
        if self.state == RESET:
            self.state = RFOTM
            self.unfinished = True

    @property
    def dos(self):
        """The onboarding state: `s`, and `p` while a change is not complete."""
        return Pairs((("s", self.state), ("p", self.pending)))

    @property
    def isop(self):
        """Whether the Device does what it is made for."""
        return self.state == RFNOP

    operational = isop

    @property
    def cm(self):
        """Current mode."""
        return self._modes[0] if self.isop else _CM[self.state]

    @property
    def tm(self):
        """Target mode: the bits that are pending."""
        return self._modes[1] if self.isop else 0 if self.state else _RESET_TM

    def show(self, cm, tm):
        """Have the update's modes shown; the caller notifies."""
        self._modes = (cm, tm)

    def update(self, values):
        """Take an UPDATE as a whole or not at all. Raises Refused 4.00, 5.00 or what `on_tm` answers."""
        tm = values.get("tm")
        state = self.state
        before = (state, self.om, self.rowneruuid)
        more = state == RESET or len(values) > (tm is not None)  # than `tm`, which alone needs no record
        if more:
            with phase("ocf.onboarding") as rules:
                state = rules.target(self, values)
            self._save(state, values.get("om", self.om), values.get("rowneruuid", self.rowneruuid))
        refused = tm and self.on_tm and self.on_tm(tm)
        if refused:
            if more:
                self._save(*before)
            raise Refused(*refused)
        if not more:
            return  # what comes of `tm` is told by the update
        self.om = values.get("om", self.om)
        self.rowneruuid = values.get("rowneruuid", self.rowneruuid)
        if state == RESET:
            self.state = state  # from now on, whatever happens
            self.pending = True
            asyncio.create_task(self._later())  # the answer goes out first
        elif state != self.state:
            self._enter(state)
        self.notify()

    def reset(self):
        """RESET, with all that hangs on it, and then RFOTM. Raises Refused 5.00 when it cannot be recorded.

        An error of the hook is passed on: then the Device stays in RESET, and is `unfinished` after its next start.
        """
        if self.state != RESET:
            self._save(RESET, self.om, self.rowneruuid)
        self.pending = True
        self._enter(RESET)
        self._save(RFOTM, 3, NIL)
        self.om = 3  # what a Device shows until its onboarding tool says how it will work
        self.rowneruuid = NIL
        self.pending = self.unfinished = False
        self._enter(RFOTM)
        self.notify()

    async def _later(self):
        await asyncio.sleep(0)
        self.reset()

    def _enter(self, state):
        self.state = state
        if self.on_state:
            self.on_state(state)

    def _save(self, state, om, owner):
        try:
            self._store.save("pstat", dumps({"v": 1, "s": state, "om": om, "rowner": owner}))
        except OSError as error:
            raise Refused(0xA0, "the state could not be stored: %s" % error)  # noqa: B904
