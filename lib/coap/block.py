"""Transfers in blocks, the server's side (RFC 7959): requests are put together, long answers cut."""

from port import phase, reserve

from coap.message import Response


class Blocks:
    """The part of an Endpoint that keeps what is between the blocks of a transfer.

    `parts`: [key, Timer, bytearray] of requests; `bodies`: [key, Timer, Response] of answers; the Timer removes what nobody
    asks for any more. Whoever needs no block never loads `coap.transfer`, which makes them.
    """

    parts = bodies = ()

    def forget(self, peer=None):
        """Drop everything, or what is `peer`'s: others may be in the middle of a transfer."""
        for kept in (self.parts, self.bodies):
            for entry in list(kept):
                if peer is None or entry[0][0] == peer:
                    self.cancel(entry[1])
                    kept.remove(entry)

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
        if response.code >= 0x80:
            return response
        for option in response.options:
            if option[0] == 23:
                return response
        block2 = request.block2
        if block2 is None:
            block2 = 6
        if block2 < 16 and len(response.payload) <= 16 << (block2 & 7):
            return response
        try:
            with phase("coap.transfer") as code:
                return code.cut(self, request, response, block2)
        except MemoryError:
            reserve.let_go()
            return Response(0xA3)
