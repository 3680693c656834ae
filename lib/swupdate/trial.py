"""The trial of a new version: proofs that it can be kept, a deadline, and the way back. A phase of its own.

The caller starts it when the running slot is not confirmed:

    with phase("swupdate.trial") as trial:
        await trial.Trial(updater, slots, store, reset, ...).run()
"""

import cbor
from port import const, create_task, print_exception, sleep_ms, ticks_diff, ticks_ms

from swupdate import arming

_STEP_MS = const(250)
_PROVE_PAUSE_MS = const(5000)
_PENDING = const(1)  # ESP_OTA_IMG_PENDING_VERIFY


class Trial:
    """Confirms when the network is joined, the endpoint serves, the app is well and a next update is proven possible.

    `joined()`, `serving()`, `health()` -> bool. Proof of the next update is either `prove()`, a coroutine function
    that fetches and verifies an envelope the device's own way and raises when it cannot, or `client_seen()` called by
    the composition when an authenticated Client completed an exchange. The latter counts only where there is nothing
    to fetch from: no `prove`, a server that answers with an error, or one that is not `reachable()` (a coroutine
    function -> bool). What else goes wrong is this version's own fault, and it could never be updated again.
    `seconds` is the deadline; then the reason is noted in `store`, the old version becomes the one to start and
    `reset()` is called.
    """

    def __init__(self, updater, slots, store, reset, joined, serving, health, prove=None, seconds=300, reachable=None):
        self._updater, self._slots, self._store, self._reset = updater, slots, store, reset
        self._joined, self._serving, self._health, self._prove = joined, serving, health, prove
        self._ms = seconds * 1000
        self._reachable = reachable
        self._fetched = self._seen = False
        self._excused = prove is None  # it is not for this version that nothing could be fetched
        self._why = ""

    def client_seen(self):
        """An authenticated Client completed an exchange."""
        self._seen = True

    async def run(self):
        """Until confirmed (True) or given up (False: `reset` was called)."""
        began = ticks_ms()
        prover = create_task(self._try_to_prove()) if self._prove else None
        try:
            while True:
                try:
                    missing = self._step()
                except MemoryError:  # it may come back; for words there is none
                    missing = "there was not enough memory"
                if not missing:
                    return True
                if ticks_diff(ticks_ms(), began) >= self._ms:
                    break
                await sleep_ms(_STEP_MS)
        finally:
            if prover:
                prover.cancel()
        self.give_up("rolled back: " + missing)
        return False

    def _step(self):
        """Confirm when everything is proven: "", or what is missing. Raises MemoryError."""
        missing = self._missing()
        if not missing:
            try:
                self._updater.confirm()
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - tried again until the deadline
                missing = "it could not be confirmed: %s" % error
        return missing

    def give_up(self, reason):
        """Note why, go back to the old version and restart."""
        try:
            self._store.save("trial", cbor.dumps({"v": 1, "reason": reason}))
        except (OSError, MemoryError):  # the way back matters more than the reason
            pass
        try:
            # The bootloader goes back from a slot that is pending; arming the old one would put that on trial.
            if self._slots.state(self._slots.running) != _PENDING:
                arming.arm(self._slots)
        except Exception as error:  # noqa: BLE001 - a reset of an unconfirmed slot goes back as well
            print_exception(error)
        self._reset()

    def _missing(self):
        """What is not proven yet, in words, or "" """
        try:
            if not self._joined():
                return "the network was not joined"
            if not self._serving():
                return "the endpoint did not serve"
            if not self._health():
                return "the app was not well"
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the app is the maker's
            return "the app's health failed: %s" % error
        if self._fetched or (self._seen and self._excused):
            return ""
        return "no proof that it can be updated again" + self._why

    async def _try_to_prove(self):
        while not self._fetched:
            pause = _STEP_MS
            try:
                if self._joined():
                    await self._prove_once()
                    pause = _PROVE_PAUSE_MS
            except MemoryError:  # there were not even words for it: once more
                pass
            await sleep_ms(pause)

    async def _prove_once(self):
        try:
            await self._prove()
            self._fetched = True
        except Exception as error:  # noqa: BLE001 - any failure is no proof
            self._why = ": %s" % (error if str(error) else type(error).__name__)
            self._excused = await self._not_ours(getattr(error, "cause", ""))

    async def _not_ours(self, cause):
        """Whether a fetch that failed by `cause` failed for the server or the way to it."""
        if cause != "lost":
            return cause == "status"
        return not (self._reachable and await self._reachable())
