"""The timers of an endpoint, and messages that are sent again until they are answered (RFC 7252 section 4.2)."""

import asyncio
from random import getrandbits

from port import print_exception, reserve, sleep_ms, ticks_add, ticks_diff, ticks_ms


class Timer:
    """One entry of the endpoint's clock: `fire(*args)` at `due`, again after the milliseconds that it returns, if any.

    That of a CON message under way also has `peer`, `data`, `wait` (ms until the next transmission), `done` and `tries`.
    """

    peer: object
    data: bytes
    wait: int
    done: object
    tries: int

    def __init__(self, ms, fire, args):
        self.due = ticks_add(ticks_ms(), ms)
        self.fire = fire
        self.args = args


class Sending:
    """The part of an Endpoint that knows what is to be done later: `_timers`, a list of Timer, and `_sent`, those of the CON
    messages under way by their message ID.
    """

    _clock = None  # the task, while there are timers
    _mid: int  # of the last message

    def after(self, ms, fire, *args):
        """Call `fire(*args)` in `ms` milliseconds, later where there is no memory; the Timer, for `cancel`."""
        timer = Timer(ms, fire, args)
        if self._clock is None:
            self._clock = asyncio.create_task(self._run_timers())
        self._timers.append(timer)
        return timer

    def cancel(self, timer):
        """Forget a Timer, fired or not."""
        if timer in self._timers:
            self._timers.remove(timer)

    async def _run_timers(self):
        # A new Timer may be due before those known when going to sleep, so sleep is short.
        grain = max(self.ack_timeout // 20, 1)
        while self._timers:
            await sleep_ms(self._fire(grain))
        self._clock = None

    def _fire(self, soonest):
        """Do one thing that is due; the milliseconds until the next look, `soonest` at most."""
        now = ticks_ms()
        again = soonest
        for timer in self._timers:
            soonest = min(soonest, ticks_diff(timer.due, now))
            if soonest <= 0:
                try:
                    again = timer.fire(*timer.args)
                except MemoryError:  # it comes up again
                    reserve.let_go()
                except Exception as error:
                    print_exception(error)
                    again = None
                if again is None:
                    self.cancel(timer)
                else:
                    timer.due = ticks_add(now, again)
                return 0  # none of the others may be there any more
        return soonest

    def next_mid(self):
        """A message ID that no CON under way has."""
        while True:
            self._mid = (self._mid + 1) & 0xFFFF
            if self._mid not in self._sent:
                return self._mid

    def send_con(self, peer, mid, data, done=None):
        """Send the CON message in `data`, and again until answered.

        `done(kind)` is called once, with the type of what came (2 ACK, 3 RST) or None when nothing did. Raises MemoryError.
        """
        wait = self.ack_timeout + self.ack_timeout * getrandbits(8) // 512  # ACK_RANDOM_FACTOR 1.5
        sending = self.after(wait, self._again, mid)
        sending.peer = peer
        sending.data = bytes(data)
        sending.wait = wait
        sending.done = done
        sending.tries = 0
        self._sent[mid] = sending  # only now, for there may have been no memory
        self.transport.send(data, peer)

    def _again(self, mid):
        sending = self._sent.get(mid)
        if sending is None:
            return None
        if sending.tries >= self.max_retransmit:
            if sending.done:
                sending.done(None)  # first, for there may be no memory to hear of it
            self.abandon(mid)
            return None
        self.transport.send(sending.data, sending.peer)
        sending.tries += 1
        sending.wait *= 2
        return sending.wait

    def abandon(self, mid):
        """Stop sending a CON message; nobody is told."""
        sending = self._sent.pop(mid, None)
        if sending:
            self.cancel(sending)
