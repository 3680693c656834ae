"""The head of an HTTPS server's answer (RFC 9110, 9112): a phase of `https`, which has the rules."""

from port import const

from swupdate.faults import Fault

_HEADERS = const(4096)


async def read(source):
    """Read it into `_head` of `source`, an HttpsSource: ((status, length or -1, entity tag, range), location, whether
    the connection stays, why the body cannot be used). Raises Fault or OSError.
    """
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
            # No Head, which would keep all of this in memory.
            found = head.status, head.length, head.etag, head.range
            source._head = found, head.location, head.keep, head.refused
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
            source._buffer[:size] = source._buffer[source._low : source._high]  # they may overlap
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
