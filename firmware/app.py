"""The maker's app: started, watched, paused or taken out of memory around an update, asked for its health."""

import asyncio

from port import phase, print_exception, sleep_ms, ticks_diff, ticks_ms

_RESTART_S = 5  # until it is started again; twice as long each time, up to
_LONGEST_S = 300
_WELL_MS = 600_000  # an app that ran so long starts anew with the shortest
_LOOK_MS = 100
_SOON = 20  # looks, in which an update may go on, before an app that was away comes back


def absent():
    """The `code` of what stands for the app's Resources while it is away."""
    return phase("firmware.absent")


class App:
    """Runs the module `app` of the release, when there is one.

    Its contract: `async main(device)`; optional `health()`, `pause()`, `resume()`, `stop()`, `reset()`, plain or async.
    `crashed` says why it stopped last, or is None. Its modules are a phase, `code`, and its Resources those of the Device
    behind the first `own`. `module` is None while it is not in memory. `away` (firmware.leaving): 3: it is to end, 2: it has
    ended, 1: it is to be loaded again, 4: it has not ended in time. `held`: it was asked to pause or to stop.
    """

    crashed = module = None
    started = held = False
    own = away = 0
    task: object

    def __init__(self, device):
        self.device = device
        self.code = phase("app")

    async def run(self, on_crash):
        """Run the app for ever; `on_crash(text)` hears of every crash, then it is started again.

        An app that returns has done its work and is not started again.
        """
        pause = 0
        resources = self.device.ocf.resources
        self.own = len(resources)
        self.task = asyncio.current_task()
        while True:
            began = ticks_ms()
            try:
                if pause:
                    await asyncio.sleep(pause)
                looks = _SOON if pause else 0
                while self.away == 2 or self.away and looks < _SOON:  # the next step of an update may come at once
                    await sleep_ms(_LOOK_MS)
                    looks += 1
                self.crashed = None
                began = ticks_ms()
                self.module = self.code.__enter__()
                self.away = 0
                del resources[self.own :]  # of the one before
                # No name keeps its coroutine, and with it all that it had, when it is away.
                box = [self.module.main(self.device)]
                self.started = True
                await box.pop()
                while True:  # who ends here would be missed
                    await asyncio.sleep(_LONGEST_S)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a maker's code raises
                if isinstance(error, Exception):
                    print_exception(error)
                if self.away > 2:  # it was to end
                    self.away = 5 - self.away
                    self.module = None
                    pause = 0
                    continue
                self.crashed = "the app stopped: %s: %s" % (type(error).__name__, error)
                self.device.log("error", self.crashed)
                if self.module or not self.away:  # else it has found no memory yet for coming back
                    on_crash(self.crashed)
                pause = min(pause * 2, _LONGEST_S)
                if not pause or ticks_diff(ticks_ms(), began) > _WELL_MS:
                    pause = _RESTART_S

    async def ask(self, name, default=None):
        """What the app's function `name` gives, `default` when it has none; False when it fails, or takes too long."""
        with phase("firmware.asking") as asking:
            return await asking.ask(self, name, default)
