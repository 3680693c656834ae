"""One request and its reply: what `coap.client` is made of.

`peer` is what `port.sockets.address(host, port)` gives.
"""

from port import Event, const, urandom

from coap.asking import Reset, Timeout
from coap.message import pack

_CON = const(0)
_RST = const(3)
_WAIT = const(93_000)  # ms, MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2
_FOUND = const(256)  # answers to one discovery


class Exchange:
    """One request message under way, sent when made: `await wait()` for the reply, `cancel()` to forget it.

    `done(exchange)`, if given, is called when it is over: then `reply` is the message, or `error` says why there is
    none. Blocks are the caller's business: `options` ((number, value) pairs) and `payload` are those of this one
    message. With `many` (multicast: a NON) replies of any peer are collected in `replies` until cancelled.
    """

    reply = error = None

    def __init__(
        self,
        endpoint,
        peer,
        code,
        options,
        payload=b"",
        timeout_ms=_WAIT,
        kind=_CON,
        done=None,
        many=False,
        token=None,
    ):
        self.endpoint = endpoint
        self.peer = peer
        self.done = done
        self.token = token or urandom(8)
        self.replies = [] if many else None
        self._event = Event()
        mid = endpoint.next_mid()
        data = endpoint.out[: pack(endpoint.out, kind, code, mid, self.token, options, payload)]
        self._timer = endpoint.after(timeout_ms, self.finish, Timeout("no answer"))
        if not endpoint.tokens:
            endpoint.tokens = {}  # its own; most have none
        endpoint.tokens[self.token] = self  # from now on it has an end, whatever fails
        if kind == _CON:
            self._mid = mid
            endpoint.send_con(peer, mid, data, self._sent)
        else:
            self._mid = None
            endpoint.transport.send(data, peer)

    def _sent(self, kind):
        self._mid = None  # may be another message's from now on
        if kind is None:
            self.finish(Timeout("no answer"))
        elif kind == _RST:
            self.finish(Reset("rejected"))

    def take(self, message):
        """A message with this token has come: whether it is taken."""
        if self.replies is not None:
            if len(self.replies) < _FOUND:
                self.replies.append(message)
            return True
        if message.peer != self.peer:
            return False
        self.reply = message
        self.finish(None)
        return True

    def finish(self, error):
        """End it, with `error` or None."""
        if self.endpoint.tokens.pop(self.token, None):
            self.error = error
            self.endpoint.abandon(self._mid)
            self.endpoint.cancel(self._timer)
            self._event.set()
            if self.done:
                self.done(self)

    def cancel(self):
        """Forget the request; `done` is not called."""
        self.done = None
        self.finish(Timeout("cancelled"))

    async def wait(self):
        """The reply (a Message). Raises Timeout or Reset, both OSError."""
        try:
            await self._event.wait()
        finally:
            self.cancel()
        if self.error:
            raise self.error
        return self.reply
