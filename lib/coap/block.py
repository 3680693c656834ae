"""Transfers in blocks, the server's side (RFC 7959): requests are put together, long answers cut."""

from port import phase, reserve, ticks_diff, ticks_ms

from coap.message import Response


class Blocks:
    """What an endpoint keeps between the blocks of a transfer. Whoever needs no block never loads `coap.transfer`."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.parts = []  # [key, ticks, bytearray] of requests
        self.bodies = []  # [key, ticks, Response] of answers
        self.timer = None

    def forget(self, peer=None):
        """Drop everything, or what is `peer`'s: others may be in the middle of a transfer."""
        for kept in (self.parts, self.bodies):
            kept[:] = [entry for entry in kept if peer is not None and entry[0][0] != peer]

    def sweep(self):
        """Drop what was left; the milliseconds to the next time, None when nothing is kept."""
        now = ticks_ms()
        limit = self.endpoint.transfer_timeout
        for kept in (self.parts, self.bodies):
            for entry in list(kept):
                if not 0 <= ticks_diff(now, entry[1]) < limit:
                    kept.remove(entry)
        if self.parts or self.bodies:
            return limit // 2
        self.timer = None
        return None

    def take(self, request):
        """The answer to a request that only moves a transfer on, or None: `request` is whole and the handler's.

        Raises Refused for a request in blocks that does not fit (RFC 7959 section 2.9).
        """
        if request.block1 is None and (request.block2 or 0) < 7:
            return None
        with phase("coap.transfer") as code:
            return code.take(self, request)

    def cut(self, request, response):
        """The part of `response` that `request` asks for; `response` itself when it fits into one message."""
        if response.code >= 0x80 or any(o[0] == 23 for o in response.options):
            return response
        block2 = request.block2
        if block2 is None:
            block2 = 6
        payload = response.payload
        if block2 < 16 and type(payload) is not list and len(payload) <= 16 << (block2 & 7):
            return response
        try:
            with phase("coap.transfer") as code:
                return code.cut(self, request, response, block2)
        except MemoryError:
            reserve.let_go()
            return Response(0xA3)
