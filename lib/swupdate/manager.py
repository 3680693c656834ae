"""Owns the update machine's state: feeds it events and performs its effects, in order."""

import asyncio

import cbor
from port import const, phase, print_exception, sleep_ms, ticks_diff, ticks_ms

from swupdate import machine
from swupdate.faults import RESULTS, Fault

_VERSION = const(1)  # of the record
_LOOK_S = const(10)  # a clock that is set anew is noticed within this time
_TELL_MS = const(1000)
_SCHEMES = ("https", "coaps")


class Updater:
    """One device's update.

    `store`, `clock`, `slots`: see the contract. `pstat`: `.operational` (in RFNOP), `.show(cm, tm)`, `.notify()`.
    `make_job(url)` -> job of the install phase. `reboot()` restarts the board. `settings` (dict, all optional): "url"
    built in by the maker, "schemes", "retries" of an action that lost its connection, "backoff_ms" before each of
    them, "manufactured" in Unix seconds. `nvs`: keeps a copy of the sequence floor.

    The tie to pstat is `pstat.on_tm = updater.target` and `pstat.on_state = updater.dos_changed`.

    The composition calls `start(cause)` once, then runs `run()` for ever; before that it may set `flush` (coroutine
    function: until observers have what they were told), `pause` and `resume` (the app's, around obtaining).
    """

    def __init__(self, store, clock, slots, pstat, make_job, settings, reboot, nvs=None):
        self.store, self.slots, self.make_job = store, slots, make_job
        self._clock, self._pstat, self._reboot, self._nvs = clock, pstat, reboot, nvs
        self._settings = settings
        self._url = settings.get("url", "")
        self.flush = self.pause = self.resume = None
        self.watchers = []  # called when the state changed
        self.progress_watchers = []  # called when `done` moved, not too often
        self.done = self.total = self.attempts = 0
        self.phase = ""  # "check", "obtain" or "install" while it is being done
        self.floor = 0  # sequence number below which nothing is installed
        self.state = machine.fresh()
        self._effects = []
        self._wake = asyncio.Event()
        self._task = None
        self._armed = 0
        self._saved = True
        self._told = (0, 0)
        clock.on_trusted.append(self._wake.set)

    # -- for the Resources

    @property
    def last(self):
        """Time of the last update, at first that of manufacture (Unix seconds)."""
        return self.state["last"] or self._settings.get("manufactured", 0)

    def update(self, purl, action, when):
        """UPDATE of /oc/swu; `when` is "now", "none" or Unix seconds. None, or the refusal: (CoAP code, words)."""
        fault = None
        if purl:
            try:
                with phase("swupdate.url") as url:
                    url.parse(purl, self._settings.get("schemes", _SCHEMES))
            except Fault as error:
                fault = (error.result(), error.text)
        return self.feed(("update", purl, action, when, fault, self._facts()))

    def target(self, tm):
        """UPDATE of pstat's `tm`. None, or the refusal: (CoAP code, words)."""
        return self.feed(("target", tm, self._facts()))

    def dos_changed(self, dos):
        """pstat entered onboarding state `dos` (0: RESET)."""
        if dos == 0:
            self.feed(("reset",))
        self._show()
        self._wake.set()

    # -- for the composition

    def start(self, cause):
        """Compare what runs with the record, once, at the start. `cause` is the board's reset cause."""
        with phase("swupdate.boot") as boot:
            self.state = boot.load(self.store)
            event = boot.reconcile(self.state, boot.facts(self.slots, cause, self.store, self._clock.now()))
            if event[0] == "rolled_back" and not self.slots.confirmed:
                try:  # it was confirmed before: only a confirmed version installs
                    self.slots.confirm()
                except Exception as error:  # noqa: BLE001 - then it has a trial of its own
                    print_exception(error)
            self.floor = boot.floor(self.store, self._nvs, self.slots)
        self._show()
        self.feed(event)

    def confirm(self):
        """Keep the running version: its trial is over. Raises Fault or OSError when the flash refuses."""
        self.slots.confirm()
        label = self.slots.label(self.slots.running) or {}
        self.feed(("confirmed", self.slots.running, self._clock.now() or label.get("built", 0)))
        with phase("swupdate.boot") as boot:
            self.floor = boot.floor(self.store, self._nvs, self.slots)

    async def run(self):
        """Perform what is to be done, for ever."""
        while True:
            while self._effects:
                self._perform(self._effects.pop(0))
            self._wake.clear()
            pause = self._look_at_clock()
            if self._effects:
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except asyncio.TimeoutError:  # noqa: UP041 - another class on MicroPython
                pass

    # -- events and effects

    def feed(self, event):
        """Let the machine take a step. What must not wait is done at once: the record, the timer, an abort."""
        before = self.state
        self.state, effects = machine.step(before, event)
        refused = None
        for effect in effects:
            what = effect[0]
            if what == "refuse":
                refused = effect[1:]
            elif what == "save":
                self._save()
            elif what == "timer":
                self._armed = effect[1]
            elif what == "cancel":
                self._effects.clear()
                if self._task:
                    self._task.cancel()
                    self._task = None
                self.progress(0, 0)
            else:
                self._effects.append(effect)
        self._show()
        self._wake.set()
        return refused

    def _perform(self, effect):
        try:
            if effect[0] == "notify":
                for watcher in self.watchers:
                    watcher()
                self._pstat.notify()
            elif effect[0] == "then":
                self.feed(effect[1])
            else:
                what = self._run if effect[0] == "run" else self._restart
                self._task = asyncio.create_task(what(effect[1]))
        except Exception as error:  # noqa: BLE001 - the loop outlives every error
            print_exception(error)

    def _facts(self):
        return self._clock.now(), self._pstat.operational, bool(self._url), self.slots.confirmed

    def _look_at_clock(self):
        """Seconds until the clock has to be looked at again, or None."""
        now = self._clock.now()
        if self.state["sched"] == "idle" or not now:
            return None
        if not self._armed:
            self.feed(("clock", now))
        elif now >= self._armed:
            self.feed(("due", self._facts()))
            return _LOOK_S
        return min(_LOOK_S, max(1, self._armed - now))

    def _show(self):
        self._pstat.show(machine.CM[self.state["state"]], self.state["tm"])

    # -- the steps of an action

    async def _run(self, what):
        self.phase = what
        try:
            with phase("swupdate.work") as work:
                event = await work.attempt(self, what, self._url, self._settings)
        except Exception as error:  # noqa: BLE001 - the phase itself could not be loaded
            event = ("failed", RESULTS["memory"], "could not begin: %s" % error)
        self.phase = ""
        self._task = None
        self.feed(event)

    async def _restart(self, slot):
        """Have `slot` tried at the next start, and restart."""
        while not self._pstat.operational:
            await sleep_ms(200)
        valid = self.slots.valid(slot)
        try:
            if not self._saved:
                raise Fault("flash", "the record could not be written")
            self.store.remove("trial")
            self.slots.arm()
        except Exception as error:  # noqa: BLE001 - nothing was armed: go on with what runs
            self._task = None
            self.feed(("failed", machine.FAILED, str(error), valid))
            return
        try:
            if self.flush:
                await self.flush()
        except Exception as error:  # noqa: BLE001 - observers will see it after the restart
            print_exception(error)
        self._reboot()

    def progress(self, done, total):
        """Bytes done of `total`; tells those who watch at most once a second, or when 5 % more is done."""
        self.done, self.total = done, total
        now = ticks_ms()
        if 0 < done < total and done - self._told[1] < total // 20 and ticks_diff(now, self._told[0]) < _TELL_MS:
            return
        self._told = (now, done)
        for watcher in self.progress_watchers:
            watcher()

    # -- the record

    def _save(self):
        record = dict(self.state)
        record["v"] = _VERSION
        try:
            self.store.save("update", cbor.dumps(record))
            self._saved = True
        except OSError as error:
            self._saved = False
            print_exception(error)
