"""Time that can be trusted, or none at all.

A clock is trusted once it was set, by the network or by the app, and never set to a time before `floor`, which has
passed for certain: when the running release was built, as its signers say, and what this device has run since.

The network's time is nobody's word: whoever forges it sets the clock wrong until the next honest answer, and no
longer. So the floor does not follow the clock any faster than the device's own time runs.
"""

import asyncio

from port import const, phase

_FOLLOW_S = const(14400)
_RETRY_S = const(64)  # the longest pause while there is no answer: schedules wait for the time


class Clock:
    """The device's idea of the time, as whole Unix seconds.

    `board` has `rtc()` and `set_rtc(unix)`; `store` keeps the floor; `built` is the running release's build time.
    """

    # Made by firmware.seen
    seen: int
    floor: int
    since: int  # when the floor was raised last
    trusted: bool

    def __init__(self, board, store, built=0):
        self.board = board
        self.store = store
        self.on_trusted = []  # called without arguments when the clock becomes trusted or is set anew
        with phase("firmware.seen") as seen:
            seen.load(self, built)

    def now(self):
        """Unix seconds, or 0 while the clock is not trusted."""
        return self.board.rtc() if self.trusted else 0

    def set(self, unix):
        """Set and trust the clock; False when `unix` is earlier than is possible.

        Raises OSError when only the record fails: then the clock is set all the same.
        """
        with phase("firmware.seen") as seen:
            return seen.set(self, unix)

    async def follow(self, server, dns, log):
        """Keep the clock set from the NTP server named `server`, for ever (RFC 4330).

        Asks at once, after a failure again with growing pauses, and then every few hours.
        """
        pause = 2
        while True:
            try:
                if await self._ask(server, dns, log):
                    pause = _FOLLOW_S
            except Exception as error:  # noqa: BLE001 - a clock that cannot be set must not end the device
                log("debug", "the clock was not set: %s" % error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_S)

    async def _ask(self, server, dns, log):
        with phase("firmware.ntp") as ntp:
            return await ntp.follow(self, server, dns, log)
