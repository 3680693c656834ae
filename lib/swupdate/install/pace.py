"""How slowly a server may send: part of the install phase."""

from port import ticks_diff, ticks_ms

from swupdate.faults import Fault


class Pace:
    """The time that a server takes, against the slowest that is borne.

    `limits` may have `min_bps` (200), bytes a second, and `lag_s` (60), how far a server may fall behind them. What it
    sends faster makes up for it, but is not saved up. Only the time in which somebody waits for it counts.
    """

    def __init__(self, limits):
        self._bps = getattr(limits, "min_bps", 200)
        self._most = getattr(limits, "lag_s", 60) * 1000
        self._lag = self._at = 0

    def begin(self):
        """Somebody waits from now on."""
        self._at = ticks_ms()

    def got(self, count):
        """`count` bytes have come since. Raises Fault "lost" when it took too long."""
        now = ticks_ms()
        self._lag = max(self._lag + ticks_diff(now, self._at) - count * 1000 // self._bps, 0)
        self._at = now
        if self._lag > self._most:
            raise Fault("lost", "the server is too slow: it sends less than %d bytes a second" % self._bps)
