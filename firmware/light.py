"""The LED that shows how the device is, on boards that have one."""

from port import sleep_ms

# What the device is -> on, off, on, ... in tenths of a second; begun anew after each round.
PATTERNS = {
    "unowned": b"\x0a\x0a",  # slow
    "normal": b"\x01\x1d",  # a short flash every three seconds
    "updating": b"\x01\x01",  # fast
    "trial": b"\x01\x01\x01\x07",  # in pairs
    "failed": b"\x01\x01\x01\x01\x01\x0f",  # in threes, until the next action
}


def state(node):
    """The key of PATTERNS for `node` (firmware.node): what is most urgent."""
    update = node.updater.state
    if node.trial:
        return "trial"
    if update["running"] != "idle" or update["state"] == "upgrading":
        return "updating"
    if node.app.crashed or update["result"] > 1:
        return "failed"
    return "normal" if node.security.owned else "unowned"


async def run(node, pin, active):
    """Show it at `pin`, which lights the LED when it is `active` (0 or 1), for ever."""
    while True:
        on = True
        for tenths in PATTERNS[state(node)]:
            pin.value(active if on else 1 - active)
            on = not on
            await sleep_ms(100 * tenths)
