"""A question to the maker's app (firmware.app). A phase; the trial of a version has it until its end."""

from asyncio import CancelledError

from port import create_task, print_exception, sleep_ms

_LOOK_MS = 20
_LOOKS = 250  # an app that has not answered after so many (5 s) is passed over


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
    box = [function]
    task = create_task(_answer(app, name, box))  # which nobody waits for: it may not even end when it is cancelled
    try:
        for _ in range(_LOOKS):
            await sleep_ms(_LOOK_MS)
            if task.done():
                return box[0]
        app.device.log("error", "the app's %s() takes too long" % name)
        return False
    finally:
        box.append(False)
        task.cancel()


async def _answer(app, name, box):
    """Have what the function in `box` gives in its place; False when it fails."""
    try:
        result = box.pop()()
        if hasattr(result, "send"):
            result = await result
        box.append(result)
    except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever a maker's code raises
        if not box:  # else it was passed over
            box.append(False)
            print_exception(error)
            app.device.log("error", "the app's %s() failed: %s" % (name, error))
