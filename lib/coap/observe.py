"""Observation of Resources, the server's side (RFC 7641)."""

from port import const, sleep_ms, ticks_add, ticks_diff, ticks_ms

from coap.message import Refused, Response

_NON = const(1)
_ACK = const(2)
_QUEUE = const(4)  # notifications that wait for an acknowledgement
_CON_AFTER = const(4)  # NON notifications between two CON ones


class Observer:
    """One registration: who asked what (`request`), and what is under way to it."""

    def __init__(self, request, key):
        self.request = request
        self.key = key
        self.mid = None
        self.count = 0  # of NON notifications since the last CON
        self.con_at = ticks_ms()
        self.waiting = False  # for the acknowledgement of a CON
        self.queue = []


class Observers:
    """The registrations of an endpoint, a bounded number of them."""

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self._list = []
        self._sequence = 1

    def register(self, request, response):
        """Take up, renew or end the observation that `request` is about; the Observe option of the answer, or None."""
        found = None
        for observer in self._list:
            if observer.request.token == request.token and observer.request.peer == request.peer:
                found = observer
        if request.observe or response.code != 0x45 or response.observe is None or (request.block2 or 0) >> 4:
            if found:
                self._list.remove(found)
            return None
        if found is None:
            if len(self._list) >= self._endpoint.max_observers:
                return None
            found = Observer(request, None)
            self._list.append(found)
        request.options = request.entry = None  # not needed any more
        found.request = request
        found.key = response.observe
        return self._next()

    def _next(self):
        self._sequence = (self._sequence + 1) & 0xFFFFFF
        return self._sequence

    def reset(self, peer, mid):
        """A RST has come: the observer whose last notification it rejects is gone."""
        self.drop(lambda request: request.peer == peer, mid)

    def drop(self, predicate, mid=None):
        """Forget observers by request, and by the message ID of the last notification when `mid` is given."""
        for observer in list(self._list):
            if (mid is None or mid == observer.mid) and (predicate is None or predicate(observer.request)):
                self._forget(observer)

    def _forget(self, observer):
        if observer in self._list:
            self._list.remove(observer)
            observer.queue.clear()
            if observer.waiting:
                self._endpoint.abandon(observer.mid)

    def notify(self, key, confirmable):
        """Render for each observer of `key`, in its own name, and send or queue."""
        endpoint = self._endpoint
        for observer in list(self._list):
            if observer.key == key:
                request = observer.request
                if endpoint.transport.identity(request.peer) != request.identity:
                    self._forget(observer)  # somebody else is at that address now
                    continue
                response = endpoint.call(request)
                if hasattr(response, "send"):
                    try:
                        endpoint.spawn(self._render(observer, response, confirmable))
                        continue
                    except Refused as error:  # no task to spare: the observer is told and may come again
                        response.close()
                        response = Response(error.code)
                self._push(observer, response, confirmable)

    async def _render(self, observer, coroutine, confirmable):
        self._push(observer, await self._endpoint.outcome(coroutine), confirmable)

    def _push(self, observer, response, confirmable):
        if response is None or observer not in self._list:
            return
        endpoint = self._endpoint
        request = observer.request
        response = endpoint.blocks.cut(request, response)
        if response.code != 0x45:  # the last word: the observation ends with it
            self._forget(observer)
            mid = endpoint.next_mid()
            endpoint.send_con(request.peer, mid, endpoint.compose(0, mid, request, response, None))
            return
        data = bytearray(endpoint.compose(_NON, 0, request, response, self._next()))
        if observer.waiting:
            if len(observer.queue) >= _QUEUE:
                observer.queue.pop(0)
            observer.queue.append((data, confirmable))
        else:
            self._send(observer, data, confirmable)

    def _send(self, observer, data, confirmable):
        endpoint = self._endpoint
        observer.mid = mid = endpoint.next_mid()
        data[2] = mid >> 8
        data[3] = mid & 0xFF
        peer = observer.request.peer
        now = ticks_ms()
        # An observer that never acknowledges would be kept for ever (RFC 7641 section 4.5).
        if confirmable or observer.count >= _CON_AFTER or ticks_diff(now, observer.con_at) >= endpoint.con_every:
            observer.count = 0
            observer.con_at = now
            observer.waiting = True
            data[0] &= 0xCF
            endpoint.send_con(peer, mid, data, lambda kind: self._done(observer, kind))
        else:
            observer.count += 1
            endpoint.transport.send(data, peer)

    def _done(self, observer, kind):
        observer.waiting = False
        if kind != _ACK:
            self._forget(observer)
        while observer.queue and not observer.waiting:
            self._send(observer, *observer.queue.pop(0))

    async def flush(self, timeout_ms):
        """Wait until no observer has a CON outstanding, at most `timeout_ms`; whether that was reached."""
        end = ticks_add(ticks_ms(), timeout_ms)
        while any(observer.waiting for observer in self._list):
            if ticks_diff(end, ticks_ms()) <= 0:
                return False
            await sleep_ms(5)
        return True
