"""MicroPython's side of `port.inflate`."""

from deflate import RAW, DeflateIO

from port import const

_WBITS = const(10)


def stream(raw):
    """A stream of what the bytes of `raw` inflate to, with a window of 1 KB. Raises OSError, EOFError."""
    return DeflateIO(raw, RAW, _WBITS)
