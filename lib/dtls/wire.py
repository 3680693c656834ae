"""Handshake messages as bytes: taken apart, put together, sent in records (RFC 5246 section 4, RFC 6347 section 4.2)."""

from port import const

from dtls.alert import Alert

_DECODE_ERROR = const(50)
_HANDSHAKE = const(22)
_HEAD = const(12)  # of a handshake message
_DATAGRAM = const(1200)
_PART = const(1100)  # bytes of a message in one record


class Reader:
    """Takes a message apart. Whatever lies beyond its end is Alert DECODE_ERROR."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, n):
        """The next `n` bytes."""
        at = self._at
        if at + n > len(self._data):
            raise Alert(_DECODE_ERROR)
        self._at = at + n
        return bytes(self._data[at : at + n])

    def number(self, n):
        """The next `n` bytes as a number."""
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        """Bytes behind their length in `n` bytes."""
        return self.take(self.number(n))

    @property
    def more(self):
        """Whether there is anything left."""
        return self._at < len(self._data)

    def end(self):
        """There must be nothing left."""
        if self.more:
            raise Alert(_DECODE_ERROR)


def vector(n, *parts):
    """`parts` behind their length in `n` bytes."""
    data = b"".join(parts)
    return len(data).to_bytes(n, "big") + data


def head(kind, number, length):
    """What is before the `length` bytes of a handshake message in one fragment: so it is hashed."""
    size = length.to_bytes(3, "big")
    return b"".join((bytes((kind,)), size, number.to_bytes(2, "big"), b"\0\0\0", size))


def extensions(reader):
    """Extensions as (number, data); each may come once."""
    found = []
    if reader.more:
        inner = Reader(reader.vector(2))
        while inner.more:
            number = inner.number(2)
            if any(number == n for n, _ in found):
                raise Alert(_DECODE_ERROR)
            found.append((number, inner.vector(2)))
    reader.end()
    return found


def transmit(session, flight, send):
    """Send the messages of a flight, in as few datagrams as they fit into."""
    datagram = b""
    for content, epoch, data in flight:
        at = 0
        while True:
            if content == _HANDSHAKE:
                part = data[_HEAD + at : _HEAD + at + _PART]
                head = data[:6] + at.to_bytes(3, "big") + len(part).to_bytes(3, "big")
                at += len(part)
                record = session.seal(content, head + part, epoch)
            else:
                at = len(data) - _HEAD
                record = session.seal(content, data, epoch)
            if len(datagram) + len(record) > _DATAGRAM:
                send(datagram, session.address)
                datagram = b""
            datagram += record
            if at >= len(data) - _HEAD:
                break
    send(datagram, session.address)
