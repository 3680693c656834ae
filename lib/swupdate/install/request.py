"""A request to an HTTPS server and the head of its answer (RFC 9110, 9112): a phase of `https`, which has the rules."""

from port import const, phase

from swupdate.faults import Fault

_HEADERS = const(4096)
_REDIRECTS = const(3)
_DRAIN = const(1024)  # a shorter rest of an answer is read to keep the connection, a longer one closes it


async def whole(source, url, limit):
    """Ask for the object at `url`, whole: its size, at most `limit` bytes."""
    head = await _request(source, url, "")
    if head.status != 200:
        raise _lost("answered %d" % head.status)
    if head.length > limit:
        raise Fault("invalid", "%s has %d bytes, more than the %d that it may have" % (url, head.length, limit))
    return head.length


async def part(source, url, offset, length, etag=None):
    """As HttpsSource.start, with a request."""
    extra = "Range: bytes=%d-%d\r\n" % (offset, offset + length - 1)
    if etag and etag[:1] == b'"':
        extra += "If-Range: %s\r\n" % str(etag, "ascii")
    head = await _request(source, url, extra)
    if etag and head.etag and head.etag != etag:
        raise _lost("has another file at this address now")
    if head.status == 206:
        if head.range != (offset, offset + length - 1) or head.length != length:
            raise _lost("sent another range than asked for", 416)
    elif head.status != 200:
        raise _lost("answered %d" % head.status)
    elif head.length < offset + length:
        raise _lost("has a file of %d bytes only" % head.length, 416)
    else:
        await source._skip(offset)
        source._whole = url, head.etag, head.length
    return head.etag


async def _request(source, url, extra):
    """Ask for `url`, following redirects: the Head of an answer that is not one."""
    target = source._target
    source._whole = None
    for _ in range(_REDIRECTS + 1):
        base, host, port, path = target
        if source._stream and (source._left > _DRAIN or source._server != (host, port)):
            await source.close()
        kept = source._stream
        try:
            await source._skip(source._left)
            head = await _exchange(source, host, port, path, extra)
        except Fault:
            if not kept:
                raise
            # The server may have closed the kept connection just before: once more, on a new one.
            head = await _exchange(source, host, port, path, extra)
        source._left = head.length
        source._keep = head.keep
        refused = head.refused or (head.length < 0 and "does not say how long its answer is")
        if refused:
            await source.close()
        if head.status >= 400:
            raise Fault("status", "the server answered %d" % head.status, head.status)
        if head.location and head.status in (301, 302, 303, 307, 308):
            with phase("swupdate.install.reference") as reference:
                target = reference.target(base, head.location, ("https",))
        elif refused:
            raise _lost(refused)
        else:
            return head
    raise _lost("redirects more than %d times" % _REDIRECTS)


async def _exchange(source, host, port, path, extra):
    await source._timed(_send(source, host, port, path, extra), source._connect_s, "cannot be reached within %d s")
    await source._timed(_head(source), source._read_s, "is silent or too slow: no whole answer within %d s")
    # What `wait_for` returns may be found for a while yet, and a Head is what keeps all of this in memory.
    head, source._head = source._head, None
    return head


async def _send(source, host, port, path, extra):
    if source._stream is None:
        source._low = source._high = 0
        with phase("swupdate.install.connect") as connect:
            source._stream = await connect.connect(source._resolver, host, port, source._authorities)
        source._server = host, port
    shown = "[%s]" % host if ":" in host else host
    if port != 443:
        shown += ":%d" % port
    await source._stream.write(
        (
            "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fargo\r\nAccept-Encoding: identity\r\n%s\r\n"
            % (path, shown, extra)
        ).encode()
    )


async def _head(source):
    budget = _HEADERS
    head = None
    source._pace.begin()
    while True:
        line = await _line(source)
        budget -= len(line) + 2
        if budget < 0:
            raise _lost("sent an endless header")
        if head is None:
            head = Head(line)
        elif line:
            head.add(line)
        elif head.status >= 200:
            source._pace.got(0)
            source._head = head
            return
        else:
            head = None  # 1xx is followed by the real answer


async def _line(source):
    """The next line of the header, without its end."""
    seen = source._low
    while True:
        for at in range(seen, source._high):
            if source._buffer[at] == 10:
                line = bytes(source._buffer[source._low : at])
                source._low = at + 1
                return line[:-1] if line[-1:] == b"\r" else line
        size = source._high - source._low
        if size == len(source._buffer):
            raise _lost("sent a header of more than %d characters" % size)
        if source._low:
            source._buffer[:size] = bytes(source._buffer[source._low : source._high])
            source._low, source._high = 0, size
        seen = size
        count = await source._stream.readinto(source._buffer[size:])
        if not count:
            raise _lost("closed the connection before it answered")
        source._high += count


class Head:
    """What is of interest in an answer's header. Raises Fault "lost" for what is no header."""

    def __init__(self, line):
        code = line[9:12]
        if line[:7] != b"HTTP/1." or line[8:9] != b" " or len(line[12:13].strip()) or not _digits(code, 3):
            raise _lost("does not answer in HTTP")
        self.status = int(code)
        if not 100 <= self.status < 600:
            raise _lost("answered %d" % self.status)
        self.keep = line[7:8] != b"0"
        self.length = -1  # not known
        self.refused = self.etag = self.location = self.range = None  # refused: why the body cannot be used

    def add(self, line):
        """One header line."""
        name, mark, value = line.partition(b":")
        if not mark or not name or name != name.strip():
            raise _lost("sent a header that is none")
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            if not _digits(value, 9) or self.length not in (-1, int(value)):
                raise _lost("sent a Content-Length that is none")
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.refused = "sends without a length (chunked)"
        elif name == b"content-encoding" and value.lower() != b"identity":
            self.refused = "sends the file in another encoding"
        elif name == b"connection" and value.lower() == b"close":
            self.keep = False
        elif name == b"etag" and 0 < len(value) <= 64:
            for byte in value:
                if not 32 < byte < 127:
                    return
            self.etag = value
        elif name == b"location":
            try:
                self.location = value.decode()
            except ValueError:
                raise _lost("redirects to what is no URL") from None
        elif name == b"content-range":
            unit, _, value = value.partition(b" ")
            first, _, last = value.partition(b"/")[0].partition(b"-")
            if unit.lower() == b"bytes" and _digits(first, 9) and _digits(last, 9):
                self.range = int(first), int(last)


def _digits(value, most):
    return 0 < len(value) <= most and value.isdigit()


def _lost(text, status=0):
    return Fault("lost", "the server " + text, status)
