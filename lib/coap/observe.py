"""Observation of Resources, the server's side (RFC 7641)."""

from port import const, ticks_diff, ticks_ms

from coap import block
from coap.sending import Sending

_NON = const(1)
_ACK = const(2)
_QUEUE = const(4)  # notifications that wait for an acknowledgement
_CON_AFTER = const(4)  # NON notifications between two CON ones


class Observing(Sending):
    """The part of an Endpoint that knows its registrations, a bounded number of them: `observers`.

    An observer is what `coap.registration` has kept of a request, with what it needs beside: `key`, what it is about;
    `told`, the message ID of its last notification; `count` of NON notifications since the last CON, which was at `con_at`;
    `waiting` for the acknowledgement of one; `queue` of notifications that wait for it as well.
    """

    sequence = 1  # of the last notification

    def notify(self, key, confirmable=False):
        """Render now, and send to every observer, what the Resource observed under `key` is now."""
        for observer in list(self.observers):
            if observer.key == key:
                if self.transport.identity(observer.peer) != observer.identity:
                    self._forget(observer)  # somebody else is at that address now
                    continue
                response = self.call(observer)
                if hasattr(response, "send"):
                    coroutine = response
                    response = self.spawn(self._render(observer, coroutine, confirmable))
                    if not response:
                        continue
                    coroutine.close()  # no task to spare: the observer is told and may come again
                self._push(observer, response, confirmable)

    def drop(self, peer=None):
        """`peer` is gone, or the access of all has changed: end observations, silently, and forget transfers in blocks."""
        for observer in list(self.observers):
            if peer is None or observer.peer == peer:
                self._forget(observer)
        for kept in (self.parts, self.bodies):
            for entry in list(kept):
                if peer is None or entry[0][0] == peer:
                    self.cancel(entry[1])
                    kept.remove(entry)

    def told(self, peer, mid, kind):
        """What became of the notification `mid` to `peer`: who has not acknowledged it, but has sent a RST (`kind`) or
        nothing (None), is gone."""
        for observer in list(self.observers):
            if mid == observer.told and observer.peer == peer:
                observer.waiting = False
                if kind != _ACK:
                    self._forget(observer)
                while observer.queue and not observer.waiting:
                    self._tell(observer, *observer.queue.pop(0))

    def next_sequence(self):
        """The Observe option of the next notification."""
        self.sequence = (self.sequence + 1) & 0xFFFFFF
        return self.sequence

    def _forget(self, observer):
        if observer in self.observers:
            self.observers.remove(observer)
            observer.queue.clear()
            if observer.waiting:
                self.abandon(observer.told)

    async def _render(self, observer, coroutine, confirmable):
        response = await self.outcome(coroutine)
        for other in self.observers:
            if other.token == observer.token and other.peer == observer.peer:  # it may have asked anew meanwhile
                self._push(other, response, confirmable)
                break

    def _push(self, observer, response, confirmable):
        if response is None or observer not in self.observers:
            return
        response = block.cut(self, observer, response)
        if response.code != 0x45:  # the last word: the observation ends with it
            self._forget(observer)
            mid = self.next_mid()
            self.send_con(observer.peer, mid, self.compose(0, mid, observer, response, None))
            return
        data = bytearray(self.compose(_NON, 0, observer, response, self.next_sequence()))
        if observer.waiting:
            if len(observer.queue) >= _QUEUE:
                observer.queue.pop(0)
            observer.queue.append((data, confirmable))
        else:
            self._tell(observer, data, confirmable)

    def _tell(self, observer, data, confirmable):
        observer.told = mid = self.next_mid()
        data[2] = mid >> 8
        data[3] = mid & 0xFF
        peer = observer.peer
        now = ticks_ms()
        # An observer that never acknowledges would be kept for ever (RFC 7641 section 4.5).
        if confirmable or observer.count >= _CON_AFTER or ticks_diff(now, observer.con_at) >= self.con_every:
            data[0] &= 0xCF
            self.send_con(peer, mid, data, lambda kind: self.told(peer, mid, kind))
            observer.count = 0
            observer.con_at = now
            observer.waiting = True
        else:
            observer.count += 1
            self.transport.send(data, peer)
