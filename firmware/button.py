"""The button that takes the device from its owner, on boards that have one."""

from port import const, sleep_ms

_LOOK_MS = const(50)


async def watch(pin, held_s, pressed):
    """Call `pressed()` whenever the button at `pin` (low while it is held) was held for `held_s` seconds, for ever.

    Looks are counted, not time: a loop that is busy makes it longer, and never shorter. One that is held at the start,
    or stuck, does not count until it was let go; one look that finds it released may be noise.
    """
    enough = held_s * 1000 // _LOOK_MS
    count = enough  # as if it had been held for so long already
    released = 0
    while True:
        await sleep_ms(_LOOK_MS)
        if pin.value():
            released += 1
            if released > 1:
                count = 0
        else:
            released = 0
            if count < enough:
                count += 1
                if count == enough:
                    pressed()


async def run(node, pin):
    """Have `node` (firmware.node) forget its owner, as its RESET does."""

    def reset():
        if node.pstat.state:  # not in RESET already
            node.log("warning", "the button was held: RESET")
            node.pstat.begin_reset()

    await watch(pin, node.settings.get("held_s", 10), reset)
