"""Time that can be trusted, or none at all.

A clock is trusted once the network or the owner has set it, and never earlier than the newest time that is known to have
passed: when the running release was built, and the last time this device saw.
"""

import asyncio

import cbor
from port import address, const, phase, readable, udp_socket, urandom

_NTP_PORT = const(123)
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970 (RFC 5905)
_PACKET = const(48)
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
                with phase("swupdate.install.dns") as resolver:
                    host = await resolver.resolve(server, dns)
                unix = await _ask(host)
                if self.set(unix):
                    pause = _FOLLOW_S
                else:
                    log("warning", "the NTP server's time is earlier than this release: ignored")
            except Exception as error:  # noqa: BLE001 - a clock that cannot be set must not end the device
                log("debug", "the clock was not set: %s" % (str(error) or "no answer"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_S)


async def _ask(host):
    """One SNTP exchange with `host` (numeric): Unix seconds. Raises OSError."""
    sock = udp_socket()
    try:
        request = bytearray(_PACKET)
        request[0] = 0x23  # version 4, client
        request[40:48] = urandom(8)  # the server echoes it, so a blind answer cannot match
        sock.sendto(request, address(host, _NTP_PORT))
        await asyncio.wait_for(readable(sock), 3)
        reply, _ = sock.recvfrom(_PACKET)
    finally:
        sock.close()
    if len(reply) < _PACKET or reply[0] & 7 != 4 or not 0 < reply[1] < 16 or reply[24:32] != request[40:48]:
        raise OSError("the NTP server's answer is not one")
    seconds = int.from_bytes(reply[40:44], "big")
    if seconds < 0x80000000:  # the era that begins in 2036
        seconds += 1 << 32
    return seconds - _NTP_TO_UNIX
