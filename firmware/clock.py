"""Time that can be trusted, or none at all.

A clock is trusted once it was set, by the network or by the app, and never set to a time before `floor`, which has
passed for certain: when the running release was built, as its signers say, and what this device has run since.

The network's time is nobody's word: whoever forges it sets the clock wrong until the next honest answer, and no
longer. So the floor does not follow the clock any faster than the device's own time runs.
"""

import asyncio

from port import const, phase, ticks_ms

_FOLLOW_S = const(14400)
_RETRY_S = const(64)  # the longest pause while there is no answer: schedules wait for the time


class Clock:
    """The device's idea of the time, as whole Unix seconds.

    `board` has `rtc()` and `set_rtc(unix)`; `store` keeps the floor; `built` is the running release's build time.
    """

    def __init__(self, board, store, built=0):
        self.board = board
        self.store = store
        with phase("firmware.seen") as seen:
            self.seen = seen.load(store)
        self.floor = max(built, self.seen)
        self.since = ticks_ms()  # when the floor was raised last
        self.on_trusted = []  # called without arguments when the clock becomes trusted or is set anew
        # A clock that ran through a reset is as good as it was before it.
        self.trusted = 0 < self.floor <= board.rtc()

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
                if self.set(await _ask(server, dns, self.now)):
                    pause = _FOLLOW_S
                else:
                    log("warning", "the NTP server's time is earlier than this release: ignored")
            except Exception as error:  # noqa: BLE001 - a clock that cannot be set must not end the device
                log("debug", "the clock was not set: %s" % (str(error) or "no answer"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_S)


async def _ask(server, dns, now):
    with phase("firmware.ntp") as ntp:
        return await ntp.ask(server, dns, now)
