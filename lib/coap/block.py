"""Transfers in blocks, the server's side (RFC 7959): requests are put together, long answers cut.

Whoever needs no block never loads `coap.transfer`, which keeps in the Endpoint what is between the blocks: in `parts`
[key, Timer, bytearray] of requests, in `bodies` [key, Timer, Response] of answers. The Timer removes what nobody asks for
any more.
"""

from port import phase, reserve

from coap.message import Response


def take(endpoint, request):
    """The answer to a request with a block option that only moves a transfer on; None: it is whole and the handler's.

    Raises Refused for a request in blocks that does not fit (RFC 7959 section 2.9).
    """
    with phase("coap.transfer") as code:
        return code.take(endpoint, request)


def cut(endpoint, request, response):
    """The part of `response` that `request` asks for; `response` itself when it fits into one message."""
    block2 = request.block2
    if block2 is None:
        block2 = 6
    payload = response.payload
    if response.code >= 0x80 or block2 < 16 and type(payload) is not list and len(payload) <= 16 << (block2 & 7):
        return response
    return _cut(endpoint, request, response, block2)


def _cut(endpoint, request, response, block2):
    for option in response.options:
        if option[0] == 23:
            return response
    try:
        with phase("coap.transfer") as code:
            return code.cut(endpoint, request, response, block2)
    except MemoryError:
        reserve.let_go()
        return Response(0xA3)
