"""Owns the update machine's state: feeds it events and performs its effects, in order.

The machine itself is a phase, in memory for the length of a step. An event is never lost when there is no memory for that:
a Client's is refused, and all others are kept or raised again until they were taken.
"""

import asyncio

from port import Event, const, phase, print_exception, reserve, sleep_ms, spent

from swupdate.faults import RESULTS  # stays: phases overlap, and must all know the same Fault

_LOOK_S = const(10)  # a clock that is set anew is noticed within this time
_AGAIN_MS = const(1000)  # so soon is tried again what had too little memory
_ENOUGH = const(8192)  # bytes that telling the app to go on is content with
_NO_MEMORY = ("then", ("failed", RESULTS["memory"], "not enough memory"))  # made ahead: then there is none for it


class Updater:
    """One device's update.

    `store`, `clock`, `slots`: see the contract. `pstat`: `.operational` (in RFNOP), `.show(cm, tm)`, `.notify()`.
    `make_job(url)` -> job of the install phase. `reboot()` restarts the board. `settings` (dict, all optional): "url"
    built in by the maker, "schemes", "address" (a function: that of this Device), "manufactured" in Unix seconds, and
    what swupdate.work takes from them. `nvs`: keeps a copy of the sequence floor.

    The tie to pstat is `pstat.on_tm = updater.target` and `pstat.on_state = updater.dos_changed`.

    The composition calls `swupdate.boot.start(updater, cause)` once, then runs `run()` for ever; before that it may set
    `flush` (coroutine function: until observers have what they were told) and `ask` (the same, of "check" or "obtain"
    before that step, so that the app makes room, and of the same and True when nothing is to be done any more).
    """

    state: dict  # from swupdate.boot.start on
    # swupdateaction, and in words the time of the last update (at first of manufacture) and of the one that is scheduled
    shown = ("idle", "", "")
    floor = 0  # sequence number below which nothing is installed
    doing = ""  # "check", "obtain" or "install" while it is being done
    asked = ""  # before which step the app was asked to make room, until it is told that it may go on
    done = total = attempts = 0
    saved = True  # the record is what `state` is
    armed = 0  # Unix seconds at which the clock is an event
    flush = ask = None
    _task = None

    def __init__(self, store, clock, slots, pstat, make_job, settings, reboot, nvs=None):
        self.store, self.slots, self.make_job = store, slots, make_job
        self.clock, self.pstat, self.reboot, self.nvs = clock, pstat, reboot, nvs
        self.settings = settings
        self.watchers = []  # called when the state changed
        self.progress_watchers = []  # called when `done` moved, not too often
        self.effects = []
        self.wake = Event()
        clock.on_trusted.append(self.wake.set)

    # -- for the Resources

    def update(self, purl, action, when):
        """UPDATE of /oc/swu; `when` is "now", "none", or a time in words or Unix seconds.

        None, or the refusal: (CoAP code, words).
        """
        with phase("swupdate.wish") as wish:
            event, refusal = wish.event(self, purl, action, when)
        return refusal or self.feed(event)

    def target(self, tm):
        """UPDATE of pstat's `tm`. None, or the refusal: (CoAP code, words)."""
        return self.feed(("target", tm))

    def dos_changed(self, dos):
        """pstat entered onboarding state `dos` (0: RESET). Raises MemoryError: then RESET is not done, and begun again."""
        if dos == 0:
            self.cancel()  # what runs, first: the memory that it gives back may be needed
            self.feed(("reset",))
        self.wake.set()

    # -- for the composition

    def confirm(self):
        """Keep the running version: its trial is over. Raises Fault or OSError when the flash refuses."""
        with phase("swupdate.boot") as boot:
            boot.confirm(self)

    async def run(self):
        """Perform what is to be done, for ever."""
        while True:
            try:
                pause = self._turn()
                if pause is None:  # nearly always: what limits a wait takes memory
                    await self.wake.wait()
                elif pause:
                    await asyncio.wait_for(self.wake.wait(), pause)
            except MemoryError:  # nothing was lost: it comes up again
                if not reserve.let_go():
                    await sleep_ms(_AGAIN_MS)
            except asyncio.TimeoutError:  # noqa: UP041 - another class on MicroPython
                pass

    def _turn(self):
        """Perform what is to be done now; how many seconds to wait for more at most, or None. Raises MemoryError."""
        while self.effects:
            if self._task and self.effects[0][0] in ("run", "reboot"):
                self.wake.clear()
                return None  # the app is about to go on: that ends first, and wakes this
            effect = self.effects.pop(0)
            try:
                if effect[0] == "notify":
                    for watcher in self.watchers:
                        watcher()
                    self.pstat.notify()
                elif effect[0] == "then":
                    self.feed(effect[1])
                else:
                    self._task = asyncio.create_task(self._work(*effect))
            except MemoryError:
                self.effects.insert(0, effect)
                raise
            except Exception as error:  # noqa: BLE001 - the loop outlives every error
                print_exception(error)
        self.wake.clear()
        if self.asked and not self._task:
            self._task = asyncio.create_task(self._work("go on", self.asked))
        pause = self._look_at_clock()
        return 0 if self.effects else pause

    # -- events and effects

    def feed(self, event):
        """Let the machine take a step. What must not wait is done at once: the record, the timer, an abort.

        `event` without the facts, which are added.
        None, or the refusal: (CoAP code, words). Raises MemoryError, and then the step was not taken.
        """
        try:
            return self._fed(event)
        except MemoryError:
            if not reserve.let_go():
                raise
            return self._fed(event)

    def _fed(self, event):
        with phase("swupdate.feeding") as code:
            return code.feed(self, event)

    def cancel(self):
        """End the action that runs, and what was to come."""
        self.effects.clear()
        self.doing = ""
        self.done = self.total = 0
        if self._task:
            self._task.cancel()
            self._task = None

    def _look_at_clock(self):
        """Seconds until the clock has to be looked at again, or None."""
        now = self.clock.now()
        if self.state["sched"] == "idle" or not now:
            return None
        if not self.armed:
            self.feed(("clock", now))
        elif now >= self.armed:
            self.feed(("due",))
            return _LOOK_S
        return min(_LOOK_S, max(1, self.armed - now))

    # -- the steps of an action

    async def _work(self, effect, what):
        """Run the step `what`, reboot into the slot `what`, or tell the app; what came of it is the next event."""
        try:
            if effect == "run":
                self.doing = what
            elif effect == "reboot":
                while not self.pstat.operational:  # may last for days: nothing is lent or loaded meanwhile
                    await sleep_ms(_AGAIN_MS)
            event = await self._done(effect, what)
            then = ("then", event) if event else None
        except (Exception, asyncio.CancelledError) as error:  # the phase itself could not be loaded
            if self._task is not asyncio.current_task():  # `cancel`: else it is of a task that the app waited for
                raise
            print_exception(error)
            then = effect != "go on" and _NO_MEMORY
            if not then:  # it comes up again, or the app would stay away
                reserve.let_go()
                await sleep_ms(_AGAIN_MS)
        if self._task is asyncio.current_task():  # else `cancel` was, and it has not noticed
            self.doing = ""
            self._task = None
            if then:
                self.effects.append(then)
            self.wake.set()

    async def _done(self, effect, what):
        if effect == "go on":
            reserve.offer(_ENOUGH)
            try:
                await self.ask(what, True)
                self.asked = ""
            finally:
                reserve.__exit__()
            return None
        with phase("swupdate.action") as action:  # loaded before the reserve is lent
            spent(action)
            pieces = reserve.lend()
            try:
                return await action.perform(self, effect, what, pieces)
            finally:
                reserve.back(pieces)
