"""The maker's app: started, watched, paused around an update, asked for its health."""

import asyncio

from port import print_exception, ticks_diff, ticks_ms

_PAUSE_S = 5  # an app that does not answer `pause` or `resume` in this time is passed over
_RESTART_S = 5  # until it is started again; twice as long each time, up to
_LONGEST_S = 300
_WELL_MS = 600_000  # an app that ran so long starts anew with the shortest


class App:
    """Runs the module `app` of the release, when there is one.

    Its contract: `async main(device)`; optional `health()`, `pause()`, `resume()`, `reset()`, plain or async. `crashed` says
    why it stopped last, or is None.
    """

    crashed = _module = None
    started = False

    def __init__(self, device):
        self._device = device

    async def run(self, on_crash):
        """Run the app for ever; `on_crash(text)` hears of every crash, then it is started again.

        An app that returns has done its work and is not started again.
        """
        pause = _RESTART_S
        while True:
            self.crashed = None
            began = ticks_ms()
            try:
                self._module = __import__("app")
                task = self._module.main(self._device)
                self.started = True
                await task
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a maker's code raises
                print_exception(error)
                self.crashed = "the app stopped: %s: %s" % (type(error).__name__, error)
                self._device.log("error", self.crashed)
                on_crash(self.crashed)
            if ticks_diff(ticks_ms(), began) > _WELL_MS:
                pause = _RESTART_S
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_S)

    async def ask(self, name, default=None):
        """What the app's function `name` gives, `default` when it has none; False when it fails, or takes too long."""
        function = getattr(self._module, name, None)
        if function is None:
            return default
        try:
            result = function()
            if hasattr(result, "send"):
                result = await asyncio.wait_for(result, _PAUSE_S)
            return result
        except Exception as error:  # noqa: BLE001 - whatever a maker's code raises
            print_exception(error)
            self._device.log("error", "the app's %s() failed: %s" % (name, error))
            return False
