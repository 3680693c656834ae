"""Time that can be trusted, or none at all.

A clock is trusted once the network or the owner has set it, and never earlier than the newest time that is known to have
passed: when the running release was built, and the last time this device saw.
"""

import asyncio

import cbor
from port import const, phase

_FOLLOW_S = const(14400)
_RETRY_S = const(64)  # the longest pause while there is no answer: schedules wait for the time
_REMEMBER_S = const(86400)  # wear: the last time seen is written at most once a day


class Clock:
    """The device's idea of the time, as whole Unix seconds.

    `board` has `rtc()` and `set_rtc(unix)`; `store` keeps the last time seen; `built` is the running release's build time.
    """

    def __init__(self, board, store, built=0):
        self._board = board
        self._store = store
        self._seen = self._load()
        self.floor = max(built, self._seen)
        self.on_trusted = []  # called without arguments when the clock becomes trusted or is set anew
        # A clock that ran through a reset is as good as it was before it.
        self.trusted = 0 < self.floor <= board.rtc()

    def now(self):
        """Unix seconds, or 0 while the clock is not trusted."""
        return self._board.rtc() if self.trusted else 0

    def set(self, unix):
        """Set and trust the clock; False when `unix` is earlier than is possible."""
        if unix < self.floor:
            return False
        self._board.set_rtc(unix)
        self.trusted = True
        if unix - self._seen > _REMEMBER_S:
            self._seen = self.floor = unix
            self._store.save("clock", cbor.dumps({"v": 1, "seen": unix}))
        for listener in self.on_trusted:
            listener()
        return True

    def _load(self):
        data = self._store.load("clock")
        try:
            seen = cbor.decode(data)["seen"] if data else 0
            return seen if isinstance(seen, int) else 0
        except (ValueError, KeyError, TypeError):
            return 0

    async def follow(self, server, dns, log):
        """Keep the clock set from the NTP server named `server`, for ever (RFC 4330).

        Asks at once, after a failure again with growing pauses, and then every few hours.
        """
        pause = 2
        while True:
            try:
                if self.set(await _ask(server, dns)):
                    pause = _FOLLOW_S
                else:
                    log("warning", "the NTP server's time is earlier than this release: ignored")
            except Exception as error:  # noqa: BLE001 - a clock that cannot be set must not end the device
                log("debug", "the clock was not set: %s" % (str(error) or "no answer"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_S)


async def _ask(server, dns):
    with phase("firmware.ntp") as ntp:
        return await ntp.ask(server, dns)
