"""MicroPython's side of `port.inflate`."""

from io import BytesIO

from deflate import RAW, DeflateIO

from port import const

_WBITS = const(10)


def ring(data):
    """A stream of the bytes of `data` (a memoryview), and a view to change them by."""
    return BytesIO(data), data


def stream(raw):
    """A stream of what the bytes of `raw` inflate to, with a window of 1 KB. Raises OSError, EOFError."""
    return DeflateIO(raw, RAW, _WBITS)
