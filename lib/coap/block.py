"""Transfers in blocks, the server's side (RFC 7959): requests are put together, long answers cut."""

from hashlib import sha256

from port import const, ticks_diff, ticks_ms

from coap.message import Refused, Response

_KEPT = const(2)  # requests being put together at a time, and long answers kept


def _key(request, kind):
    return (request.peer, request.identity, request.code, request.path, "&".join(request.query), kind)


class Blocks:
    """What an endpoint keeps between the blocks of a transfer."""

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self._parts = []  # [key, ticks, bytearray] of requests
        self._bodies = []  # [key, ticks, Response] of answers
        self._timer = None

    def forget(self, peer=None):
        """Drop everything, or what is `peer`'s: others may be in the middle of a transfer."""
        for kept in (self._parts, self._bodies):
            kept[:] = [entry for entry in kept if peer is not None and entry[0][0] != peer]

    def _sweep(self):
        now = ticks_ms()
        limit = self._endpoint.transfer_timeout
        for kept in (self._parts, self._bodies):
            for entry in list(kept):
                if not 0 <= ticks_diff(now, entry[1]) < limit:
                    kept.remove(entry)
        if self._parts or self._bodies:
            return limit // 2
        self._timer = None
        return None

    def _keep(self, kept, key, what):
        kept.append([key, ticks_ms(), what])
        if self._timer is None:
            self._timer = self._endpoint.after(self._endpoint.transfer_timeout, self._sweep)

    def _find(self, kept, key):
        for entry in kept:
            if entry[0] == key:
                entry[1] = ticks_ms()
                return entry
        return None

    def take(self, request):
        """The answer to a request that only moves a transfer on, or None: `request` is whole and the handler's.

        Raises Refused for a request in blocks that does not fit (RFC 7959 section 2.9).
        """
        block2 = request.block2 or 0
        if block2 & 7 == 7 or (request.block1 or 0) & 7 == 7:
            raise Refused(0x80, "reserved block size")
        if block2 >> 4:
            entry = self._find(self._bodies, _key(request, None))
            if entry:
                return entry[2]
            if request.code != 1:  # a method that changes something is not done again for a block of its answer
                raise Refused(0x88, "answer not kept")
        if request.block1 is not None:
            return self._assemble(request)
        return None

    def _assemble(self, request):
        limit = self._endpoint.max_body
        number = request.block1 >> 4
        more = request.block1 & 8
        size = 16 << (request.block1 & 7)
        payload = request.payload
        parts = self._parts
        key = _key(request, request.content_format)
        entry = self._find(parts, key)
        start = number * size
        if entry and (number == 0 or start + len(payload) > limit):
            parts.remove(entry)
        if start + len(payload) > limit or (request.size1 or 0) > limit:
            return Response(0x8D, options=((60, limit),))
        if (len(payload) != size) if more else (len(payload) > size):
            raise Refused(0x80, "block of the wrong size")
        if not number and not more:
            return None
        if number == 0:
            self._sweep()
            if len(parts) >= _KEPT:
                raise Refused(0xA3, "too many transfers")
            self._keep(parts, key, bytearray(payload))
            return Response(0x5F)
        if entry is None or len(entry[2]) != start:
            raise Refused(0x88, "block out of order")
        entry[2].extend(payload)
        if more:
            return Response(0x5F)
        parts.remove(entry)
        request.payload = bytes(entry[2])
        return None

    def cut(self, request, response):
        """The part of `response` that `request` asks for; `response` itself when it fits into one message."""
        payload = response.payload
        block2 = request.block2
        if block2 is None or response.code >= 0x80:
            block2 = 6
        size = 16 << (block2 & 7)
        start = (block2 >> 4) * size
        length = len(payload)
        if response.code >= 0x80 or (not start and length <= size) or any(o[0] == 23 for o in response.options):
            return response
        if start >= length:
            return Response(0x80, "block past the end")
        bodies = self._bodies
        key = _key(request, None)
        entry = self._find(bodies, key)
        if entry is None or entry[2] is not response:
            # Keep a copy, so that the blocks fetched later belong to this answer and not to a newer one.
            if entry:
                bodies.remove(entry)
            elif len(bodies) >= _KEPT:
                bodies.pop(0)
            whole = Response(response.code, bytes(payload), response.content_format, options=response.options)
            whole.etag = response.etag or sha256(whole.payload).digest()[:8]
            self._keep(bodies, key, whole)
            payload = whole.payload
            etag = whole.etag
        else:
            etag = response.etag
        options = list(response.options)
        options.append((4, etag))
        more = start + size < length
        options.append((23, block2 & ~8 | more << 3))
        if not more:  # whoever asks for the last block again gets one of a new answer
            bodies[:] = [entry for entry in bodies if entry[0] != key]
        if not start:
            options.append((28, length))
        part = memoryview(payload)[start : start + size]
        return Response(response.code, part, response.content_format, response.observe, options)
