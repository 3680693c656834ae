"""One request and its reply: what a download needs of a client, and `coap.client` is made of.

`peer` is what `port.sockets.address(host, port)` gives.
"""

from asyncio import Event

from port import const, urandom

from coap.message import pack

_CON = const(0)
_RST = const(3)
_OCF_CBOR = const(10000)
_OCF_1_0 = const(2048)
_WAIT = const(93_000)  # ms, MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2
_FOUND = const(256)  # answers to one discovery


class Timeout(OSError):
    """No answer came in time."""


class Reset(OSError):
    """The peer rejected the message with a RST."""


class TransferError(OSError):
    """A body in blocks changed under way, is out of order, or too long."""


def request_options(path, query=(), accept=None, options=()):
    """The options of a request for `path` ("/oc/swu"), for an Exchange."""
    made = list(options)
    if len(path) > 1:
        made += [(11, part) for part in path[1:].split("/")]
    made += [(15, text) for text in query]
    if accept is not None:
        made.append((17, accept))
        if accept == _OCF_CBOR:
            made.append((2049, _OCF_1_0))
    return made


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
