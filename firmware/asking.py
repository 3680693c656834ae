"""A question to the maker's app (firmware.app). A phase; the trial of a version has it until its end."""

from port import print_exception, sleep_ms, wait_for

_PAUSE_S = 5  # an app that does not answer in this time is passed over
_LOOK_MS = 100


async def ask(app, name, default):
    """What `App.ask` does. An app that is away is not known to be well, and hears of a RESET when it is back."""
    if app.away and not app.module:
        if name == "health":
            return False
        while name == "reset" and not app.module:
            await sleep_ms(_LOOK_MS)
    function = getattr(app.module, name, None)
    if function is None:
        return default
    try:
        result = function()
        if hasattr(result, "send"):
            result = await wait_for(result, _PAUSE_S)
        return result
    except Exception as error:  # noqa: BLE001 - whatever a maker's code raises
        print_exception(error)
        app.device.log("error", "the app's %s() failed: %s" % (name, error))
        return False
