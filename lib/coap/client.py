"""The client side of CoAP: requests over an endpoint's socket, bodies in blocks both ways, observation, discovery.

`peer` is what `port.address(host, port)` gives. Any number of requests may be under way at a time.
"""

import asyncio

from port import const, sleep_ms, ticks_diff, ticks_ms

from coap.asking import Reset, Timeout, TransferError, request_options  # noqa: F401
from coap.exchange import Exchange

_CON = const(0)
_NON = const(1)
_GET = const(1)
_OCF_CBOR = const(10000)
_OCF_1_0 = const(2048)
_WAIT = const(93_000)  # ms, MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2
_QUEUE = const(16)  # notifications kept for a slow reader


def code_text(code):
    """The code as people write it: 4.04 for 0x84."""
    return "%d.%02d" % (code >> 5, code & 31)


class Observation(Exchange):
    """The states of a Resource, newest last: `async for reply in observation`; the first is the answer to the GET.

    It ends after an answer that has no Observe option or is not 2.05, and raises Timeout or Reset when the GET got no
    answer.
    """

    def __init__(self, client, peer, options, limit):
        self._client = client
        self._options = options
        self._limit = limit
        self._queue = []
        self._last = None
        self._at = 0
        super().__init__(client.endpoint, peer, _GET, options + [(6, 0)])

    def take(self, message):
        """A notification, or the first answer."""
        if message.peer != self.peer:
            return False
        self.endpoint.cancel(self._timer)
        now = ticks_ms()
        number = message.observe
        if number is None or message.code != 0x45:
            self.finish(None)
        elif self._last is not None:
            older = (self._last - number) & 0xFFFFFF < 1 << 23
            if older and 0 <= ticks_diff(now, self._at) < 128_000:  # RFC 7641 section 3.4
                return True
        self._last = number
        self._at = now
        if len(self._queue) >= _QUEUE:
            self._queue.pop(0)
        self._queue.append(message)
        self._event.set()
        return True

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._queue:
            if self.token not in self.endpoint.tokens:
                if self.error:
                    raise self.error
                raise StopAsyncIteration
            self._event.clear()
            await self._event.wait()
        return await self._client.rest(self._queue.pop(0), self.peer, _GET, self._options, self._limit)

    async def close(self):
        """Tell the server that it is over (a GET with Observe 1 and the same token), and end."""
        if self.endpoint.tokens.get(self.token):
            self.finish(None)
            self._queue.clear()
            self._options.append((6, 1))
            bye = Exchange(self.endpoint, self.peer, _GET, self._options, token=self.token)
            try:
                await bye.wait()
            except OSError:
                pass


class Client:
    """Requests over `endpoint` (which must be running): its socket, message IDs and retransmission."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    async def request(
        self, peer, code, path, query=(), payload=b"", content_format=None, accept=None, timeout_ms=_WAIT, options=(),
        limit=65536, kind=_CON,
    ):  # fmt: skip
        """The reply (a Message), with the whole body as `payload`, at most `limit` bytes.

        `code` 1 GET, 2 POST, 3 PUT, 4 DELETE. `timeout_ms` is for one message; a body of more than 1024 bytes goes out
        in blocks. Raises Timeout, Reset or TransferError (all OSError). Error codes of the server are replies like
        others.
        """
        options = request_options(path, query, accept, options)
        payload = payload or b""
        start = 0
        szx = 6
        while True:
            size = 16 << szx
            sent = list(options)
            if content_format is not None:
                sent.append((12, content_format))
                if content_format == _OCF_CBOR:
                    sent.append((2053, _OCF_1_0))
            more = start + size < len(payload)
            if start or more:
                sent.append((27, start >> szx + 4 << 4 | more << 3 | szx))
                if not start:
                    sent.append((60, len(payload)))
            part = memoryview(payload)[start : start + size]
            reply = await Exchange(self.endpoint, peer, code, sent, part, timeout_ms, kind).wait()
            block = szx if reply.block1 is None else min(reply.block1 & 7, szx)
            if more and reply.code == 0x5F:
                start += size
            elif not (more and reply.code == 0x8D and not start and block < szx):
                return await self.rest(reply, peer, code, options, limit, timeout_ms)
            szx = block  # the server may want smaller blocks

    async def rest(self, reply, peer, code, options, limit, timeout_ms=_WAIT):
        """`reply` with the blocks fetched that follow its first one. Raises TransferError, Timeout or Reset."""
        block = reply.block2
        if block is None or block >> 4 or not block & 8:
            return reply
        body = bytearray(reply.payload)
        part = reply
        while True:
            size = 16 << (block & 7)
            if len(body) > limit or (block & 8 and (len(part.payload) != size or len(body) % size)):
                raise TransferError("body too long or block of the wrong size")
            if not block & 8:
                reply.payload = bytes(body)
                return reply
            asked = options + [(23, len(body) // size << 4 | block & 7)]
            part = await Exchange(self.endpoint, peer, code, asked, b"", timeout_ms).wait()
            block = part.block2
            at = -1 if block is None else (block >> 4) * (16 << (block & 7))
            if part.code != reply.code or part.etag != reply.etag or at != len(body):
                raise TransferError("body changed, answer " + code_text(part.code))
            body.extend(part.payload)

    async def observe(self, peer, path, query=(), accept=None, options=(), limit=65536):
        """Begin to observe; an Observation. `await observation.close()` ends it."""
        return Observation(self, peer, request_options(path, query, accept, options), limit)

    async def discover(self, group, path, query=(), accept=None, wait_ms=3000, options=(), limit=65536):
        """GET by multicast: a list of (reply, peer) of what answered within `wait_ms`.

        The rest of a long answer has to come as quickly: whoever is gone meanwhile holds nobody up, and is left out.
        """
        options = request_options(path, query, accept, options)
        exchange = Exchange(self.endpoint, group, _GET, options, kind=_NON, timeout_ms=wait_ms + 1000, many=True)
        try:
            await sleep_ms(wait_ms)
        finally:
            exchange.cancel()

        async def whole(reply):
            try:
                return await self.rest(reply, reply.peer, _GET, options, limit, wait_ms), reply.peer
            except OSError:
                return None  # gone, or its answer changed under way

        return [found for found in await asyncio.gather(*[whole(reply) for reply in exchange.replies]) if found]
