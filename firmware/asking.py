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
    task = create_task(_answer(box))  # which nobody waits for: it may not even end when it is cancelled
    try:
        for _ in range(_LOOKS):
            await sleep_ms(_LOOK_MS)
            if task.done():
                break
    finally:
        task.cancel()
    if box:
        return box[0]
    app.device.log("error", "the app's %s() failed, or takes too long" % name)
    return False


async def _answer(box):
    """Have what the function in the list `box` gives in its place; nothing when it fails."""
    try:
        result = box.pop()()
        if hasattr(result, "send"):
            result = await result
        box.append(result)
    except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever a maker's code raises
        print_exception(error)
