"""/oic/sec/pstat: onboarding state, current and target mode (OCF Security, provisioning status)."""

import asyncio

from coap.message import Refused
from port import const, phase, print_exception

from ocf.resource import Resource

RESET = 0
RFOTM = 1
RFPRO = 2
RFNOP = 3
SRESET = 4

NIL = "00000000-0000-0000-0000-000000000000"

_SM = const(4)  # client-directed provisioning


class Pstat(Resource):
    """The provisioning status of the Device.

    `state` is that of a Device without a record. Hooks, all optional: `guard(state)` -> None or why the state may not
    be entered; `on_tm(bits)` -> None or a refusal (CoAP code, words); `on_state(state)` after every change, RESET
    included. `show(cm, tm)` is how the update manager has its modes shown, while the Device is in RFNOP. `unfinished`
    says why the Device has to go through RESET first, when the power failed in it or what is stored makes no sense: then
    `begin_reset()` is to be called when all who hear of it are there.
    """

    href = "/oic/sec/pstat"
    rt = ("oic.r.pstat",)
    dcr = True
    sm = om = _SM
    rowneruuid = NIL
    pending = False
    unfinished = None
    guard = on_tm = on_state = None

    def __init__(self, store, state=RFOTM):
        super().__init__(state=state, store=store, modes=[0, 0])
        with phase("ocf.recorded") as record:
            record.take(self, store.load("pstat"))

    @property
    def properties(self):
        """What it declares."""
        with phase("ocf.onboarding") as rules:
            return rules.PROPERTIES

    def get(self):
        """All Properties."""
        with phase("ocf.status") as status:
            return status.shown(self)

    @property
    def operational(self):
        """Whether the Device does what it is made for: isop."""
        return self.state == RFNOP

    def show(self, cm, tm):
        """Have the update's modes shown, which takes no memory; the caller notifies."""
        self.modes[0] = cm
        self.modes[1] = tm

    def update(self, values):
        """Take an UPDATE as a whole or not at all. Raises Refused 4.00, 5.00 or what `on_tm` answers."""
        if self.state == RESET or len(values) > ("tm" in values):
            with phase("ocf.onboarding") as rules:
                rules.update(self, values)
        else:
            self.aim(values.get("tm"))  # needs no record, and what comes of it is told by the update

    def aim(self, tm):
        """Hand the bits of a new target mode over. Raises Refused."""
        refused = tm and self.on_tm and self.on_tm(tm)
        if refused:
            raise Refused(*refused)

    def reset(self):
        """RESET, with all that hangs on it, and then RFOTM. Raises Refused 5.00 when it cannot be recorded.

        An error of the hook is passed on: then the Device stays in RESET, and is `unfinished` after its next start.
        """
        with phase("ocf.onboarding") as rules:
            rules.reset(self)

    def begin_reset(self):
        """RESET, once the answer to the present request has gone out. From now on nothing is served until it is done."""
        self.state = RESET
        self.pending = True
        asyncio.create_task(self._reset_later())

    async def _reset_later(self):
        pause = 0
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause + 1, 600)
            try:
                return self.reset()
            except Exception as error:  # noqa: BLE001 - store or memory; until it is done nothing is served
                print_exception(error)
