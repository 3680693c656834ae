"""The steps of a transfer in blocks, the server's side (RFC 7959): a phase, for the length of one step."""

from hashlib import sha256

from port import const, ticks_add, ticks_ms

from coap.message import Refused, Response

_KEPT = const(2)  # requests being put together at a time, and long answers kept
_PIECE = const(256)  # an answer is kept in such pieces: a large one is the first thing that a heap has no more


def _key(request, kind):
    return (request.peer, request.identity, request.code, request.path, "&".join(request.query), kind)


def _keep(endpoint, kept, key, what):
    entry = [key, None, what]
    entry[1] = endpoint.after(endpoint.transfer_timeout, kept.remove, entry)
    kept.append(entry)


def _drop(endpoint, kept, entry):
    endpoint.cancel(entry[1])
    kept.remove(entry)


def _find(endpoint, kept, key):
    for entry in kept:
        if entry[0] == key:
            entry[1].due = ticks_add(ticks_ms(), endpoint.transfer_timeout)
            return entry
    return None


def take(endpoint, request):
    """As coap.block.take, of a request with block options."""
    block2 = request.block2 or 0
    if block2 & 7 == 7 or (request.block1 or 0) & 7 == 7:
        raise Refused(0x80, "reserved block size")
    if block2 >> 4:
        entry = _find(endpoint, endpoint.bodies, _key(request, None))
        if entry:
            return entry[2]
        if request.code != 1:  # a method that changes something is not done again for a block of its answer
            raise Refused(0x88, "answer not kept")
    if request.block1 is not None:
        return _assemble(endpoint, request)
    return None


def _assemble(endpoint, request):
    limit = endpoint.max_body
    number = request.block1 >> 4
    more = request.block1 & 8
    size = 16 << (request.block1 & 7)
    payload = request.payload
    parts = endpoint.parts = endpoint.parts or []
    key = _key(request, request.content_format)
    entry = _find(endpoint, parts, key)
    start = number * size
    if entry and (number == 0 or start + len(payload) > limit):
        _drop(endpoint, parts, entry)
    if start + len(payload) > limit or (request.size1 or 0) > limit:
        return Response(0x8D, options=((60, limit),))
    if (len(payload) != size) if more else (len(payload) > size):
        raise Refused(0x80, "block of the wrong size")
    if not number and not more:
        return None
    if number == 0:
        if len(parts) >= _KEPT:
            raise Refused(0xA3, "too many transfers")
        _keep(endpoint, parts, key, bytearray(payload))
        return Response(0x5F)
    if entry is None or len(entry[2]) != start:
        raise Refused(0x88, "block out of order")
    entry[2].extend(payload)
    if more:
        return Response(0x5F)
    _drop(endpoint, parts, entry)
    request.payload = bytes(entry[2])
    return None


def cut(endpoint, request, response, block2):
    """As coap.block.cut; `block2` is the block that is asked for."""
    pieces = response.payload
    if type(pieces) is not list:
        # A copy, so that the blocks fetched later belong to this answer and not to a newer one.
        pieces = [bytes(pieces[at : at + _PIECE]) for at in range(0, len(pieces), _PIECE)]
    length = 0
    for piece in pieces:
        length += len(piece)
    size = 16 << (block2 & 7)
    start = (block2 >> 4) * size
    if start >= length:
        return Response(0x80, "block past the end")
    bodies = endpoint.bodies = endpoint.bodies or []
    key = _key(request, None)
    entry = _find(endpoint, bodies, key)
    if entry is None or entry[2] is not response:
        if entry:
            _drop(endpoint, bodies, entry)
        elif len(bodies) >= _KEPT:
            _drop(endpoint, bodies, bodies[0])
        # One of our own: a handler may answer with the same object again.
        response = Response(
            response.code, pieces, response.content_format, response.observe, response.options, etag=response.etag
        )
        if not response.etag:
            digest = sha256()
            for piece in pieces:
                digest.update(piece)
            response.etag = digest.digest()[:8]
        _keep(endpoint, bodies, key, response)
    options = list(response.options)
    options.append((4, response.etag))
    more = start + size < length
    options.append((23, block2 & ~8 | more << 3))
    if not more:  # whoever asks for the last block again gets one of a new answer
        _drop(endpoint, bodies, _find(endpoint, bodies, key))
    if not start:
        options.append((28, length))
    # The part is put where the message is made, which takes it from there.
    size = min(size, length - start)
    out = endpoint.out
    part = out[len(out) - size :]
    at, start = divmod(start, _PIECE)
    end = 0
    while end < size:
        piece = pieces[at][start : start + size]
        part[end : end + len(piece)] = piece
        end += len(piece)
        at += 1
    return Response(response.code, part, response.content_format, response.observe, options)
