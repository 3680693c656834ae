"""Observation of Resources, the server's side (RFC 7641)."""

from port import const, ticks_diff, ticks_ms

from coap.message import Refused, Response

_NON = const(1)
_ACK = const(2)
_QUEUE = const(4)  # notifications that wait for an acknowledgement
_CON_AFTER = const(4)  # NON notifications between two CON ones


class Observer:
    """One registration: who asked what (`request`), and what is under way to it."""

    def __init__(self, request):
        self.request = request
        self.key = self.mid = None
        self.count = 0  # of NON notifications since the last CON
        self.con_at = ticks_ms()
        self.waiting = False  # for the acknowledgement of a CON
        self.queue = []


class Observing:
    """The part of an Endpoint that knows its registrations, a bounded number of them: `observers`."""

    sequence = 1  # of the last notification

    def notify(self, key, confirmable=False):
        """Render now, and send to every observer, what the Resource observed under `key` is now."""
        for observer in list(self.observers):
            if observer.key == key:
                request = observer.request
                if self.transport.identity(request.peer) != request.identity:
                    self._forget(observer)  # somebody else is at that address now
                    continue
                response = self.call(request)
                if hasattr(response, "send"):
                    try:
                        self.spawn(self._render(observer, response, confirmable))
                        continue
                    except Refused as error:  # no task to spare: the observer is told and may come again
                        response.close()
                        response = Response(error.code)
                self._push(observer, response, confirmable)

    def drop_observers(self, predicate=None, peer=None):
        """End the observations whose request `predicate(request)` is true for (all, without one), silently.

        Call it also when access changes: blocks of earlier answers, of all or of `peer`, are forgotten too.
        """
        for observer in list(self.observers):
            if predicate is None or predicate(observer.request):
                self._forget(observer)
        self.blocks.forget(peer)

    def drop_peer(self, peer):
        """`peer` is gone: end its observations, silently, and forget its transfers in blocks."""
        self.drop_observers(lambda request: request.peer == peer, peer)

    def rejected(self, peer, mid):
        """A RST has come: the observer whose last notification it rejects is gone."""
        for observer in list(self.observers):
            if mid == observer.mid and observer.request.peer == peer:
                self._forget(observer)

    def register(self, request, response):
        """Take up, renew or end the observation that `request` is about; the Observe option of the answer, or None."""
        found = None
        for observer in self.observers:
            if observer.request.token == request.token and observer.request.peer == request.peer:
                found = observer
        if request.observe or response.code != 0x45 or response.observe is None or (request.block2 or 0) >> 4:
            if found:
                self.observers.remove(found)
            return None
        if found is None:
            if len(self.observers) >= self.max_observers:
                return None
            found = Observer(request)
            self.observers.append(found)
        request.options = request.entry = None  # not needed any more
        found.request = request
        found.key = response.observe
        return self._next()

    def _next(self):
        self.sequence = (self.sequence + 1) & 0xFFFFFF
        return self.sequence

    def _forget(self, observer):
        if observer in self.observers:
            self.observers.remove(observer)
            observer.queue.clear()
            if observer.waiting:
                self.abandon(observer.mid)

    async def _render(self, observer, coroutine, confirmable):
        self._push(observer, await self.outcome(coroutine), confirmable)

    def _push(self, observer, response, confirmable):
        if response is None or observer not in self.observers:
            return
        request = observer.request
        response = self.blocks.cut(request, response)
        if response.code != 0x45:  # the last word: the observation ends with it
            self._forget(observer)
            mid = self.next_mid()
            self.send_con(request.peer, mid, self.compose(0, mid, request, response, None))
            return
        data = bytearray(self.compose(_NON, 0, request, response, self._next()))
        if observer.waiting:
            if len(observer.queue) >= _QUEUE:
                observer.queue.pop(0)
            observer.queue.append((data, confirmable))
        else:
            self._tell(observer, data, confirmable)

    def _tell(self, observer, data, confirmable):
        observer.mid = mid = self.next_mid()
        data[2] = mid >> 8
        data[3] = mid & 0xFF
        peer = observer.request.peer
        now = ticks_ms()
        # An observer that never acknowledges would be kept for ever (RFC 7641 section 4.5).
        if confirmable or observer.count >= _CON_AFTER or ticks_diff(now, observer.con_at) >= self.con_every:
            observer.count = 0
            observer.con_at = now
            observer.waiting = True
            data[0] &= 0xCF
            self.send_con(peer, mid, data, lambda kind: self._told(observer, kind))
        else:
            observer.count += 1
            self.transport.send(data, peer)

    def _told(self, observer, kind):
        observer.waiting = False
        if kind != _ACK:
            self._forget(observer)
        while observer.queue and not observer.waiting:
            self._tell(observer, *observer.queue.pop(0))
