"""MicroPython's side of `port.inflate`."""

from deflate import RAW, DeflateIO
from io import BytesIO

from port import const

_WBITS = const(10)


def ring(size):
    """A stream of `size` bytes, and a view to change them by."""
    data = bytearray(size)
    return BytesIO(data), memoryview(data)


def stream(raw):
    """A stream of what the bytes of `raw` inflate to, with a window of 1 KB. Raises OSError, EOFError."""
    return DeflateIO(raw, RAW, _WBITS)
