"""Representations that are too large to be there as objects. A part of the phases that have such."""

from cbor import EncodeError, Encoder, dumps
from port import const

_LARGEST = const(16384)


def written(device, write):
    """CBOR of what `write(stream)` writes: a view of the device's buffer, or of a larger one. Raises EncodeError."""
    stream = Stream(device.buf)
    write(stream)
    return stream.end()


class Stream:
    """CBOR without an end in sight: written into `buf`, and kept elsewhere whenever that is full."""

    def __init__(self, buf):
        self._encoder = Encoder(buf)
        self._kept = None

    def head(self, major, n):
        """The head of an array (4) or map (5) of `n` items, which are to follow."""
        if self._encoder.pos + 9 > len(self._encoder.buf):
            self._keep()
        self._encoder.head(major, n)

    def each(self, *values):
        """Write items, one after the other. Raises EncodeError."""
        encoder = self._encoder
        for value in values:
            begin = encoder.pos
            try:
                encoder.encode(value)
            except EncodeError:
                encoder.pos = begin
                self._keep()
                self._kept.extend(dumps(value, _LARGEST))

    def end(self):
        """All that was written."""
        if self._kept is None:
            return self._encoder.view()
        self._keep()
        return self._kept

    def _keep(self):
        if self._kept is None:
            self._kept = bytearray()
        self._kept.extend(self._encoder.view())
        self._encoder.reset()
        if len(self._kept) > _LARGEST:
            raise EncodeError("a representation is too large")
