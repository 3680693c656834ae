"""The encoder: shortest heads, definite lengths (RFC 8949 section 4.1)."""

import struct

from port import const

from cbor.tag import Pairs, Tag

_UINT = const(0)
_NINT = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)

_DEPTH = const(16)  # also what stops a list that holds itself


class EncodeError(ValueError):
    """The buffer is full, or a value has no CBOR form here."""


class Encoder:
    """Writes items one after the other into `buf` (a bytearray or a writable memoryview), which never grows.

    After an EncodeError the bytes up to `pos` are what was written; `reset()` begins anew.
    """

    def __init__(self, buf):
        self.buf = buf
        self.pos = 0

    def reset(self):
        """Begin again at the start of the buffer."""
        self.pos = 0

    def view(self):
        """What was written, as a memoryview of the buffer."""
        return memoryview(self.buf)[: self.pos]

    def head(self, major, n):
        """Write the head of an item: `major` type 0 to 7 and argument `n`, in its shortest form."""
        buf, pos = self.buf, self.pos
        if n < 24:
            size = 0
        elif n < 0x100:
            size = 1
        elif n < 0x10000:
            size = 2
        elif n < 0x100000000:
            size = 4
        elif n < 1 << 64:
            size = 8
        else:
            raise EncodeError("an integer is too large")
        if pos + size >= len(buf):
            raise EncodeError("the buffer is full")
        if size == 0:
            buf[pos] = major << 5 | n
        else:
            buf[pos] = major << 5 | (24 if size == 1 else 25 if size == 2 else 26 if size == 4 else 27)
            for i in range(pos + size, pos, -1):
                buf[i] = n & 0xFF
                n >>= 8
        self.pos = pos + size + 1

    def encode(self, value, depth=0):
        """Write `value`: None, bool, int, float, str, bytes-like, list, tuple, dict, Pairs or Tag.

        A dict is written in its own order, which on MicroPython is none: use Pairs where the order matters.
        Raises EncodeError.
        """
        kind = type(value)
        if kind is str:
            self._string(_TEXT, value.encode())
        elif kind is int:
            if value >= 0:
                self.head(_UINT, value)
            else:
                self.head(_NINT, -1 - value)
        elif value is False or value is True or value is None:
            self.head(7, 20 if value is False else 21 if value is True else 22)
        elif kind is dict:
            self.pairs(value.items(), len(value), depth)
        elif kind is Pairs:
            self.pairs(value, len(value), depth)
        elif kind is list or kind is tuple:
            self._deeper(depth)
            self.head(_ARRAY, len(value))
            for item in value:
                self.encode(item, depth + 1)
        elif kind is bytes or kind is bytearray or kind is memoryview:
            self._string(_BYTES, value)
        elif kind is float:
            self._float(value)
        elif kind is Tag:
            self._deeper(depth)
            self.head(_TAG, value.number)
            self.encode(value.value, depth + 1)
        else:
            raise EncodeError("%s has no CBOR form" % kind.__name__)

    def pairs(self, items, count, depth=0):
        """Write a map of `count` (key, value) pairs in the order in which `items` gives them."""
        self._deeper(depth)
        self.head(_MAP, count)
        for key, value in items:
            self.encode(key, depth + 1)
            self.encode(value, depth + 1)

    def raw(self, data):
        """Write bytes that are CBOR already."""
        end = self.pos + len(data)
        if end > len(self.buf):
            raise EncodeError("the buffer is full")
        self.buf[self.pos : end] = data
        self.pos = end

    def _string(self, major, data):
        self.head(major, len(data))
        self.raw(data)

    def _deeper(self, depth):
        if depth >= _DEPTH:
            raise EncodeError("nested too deeply")

    def _float(self, value):
        # The shortest form that keeps the value; every NaN is the one of half precision.
        if value != value:
            return self.raw(b"\xf9\x7e\x00")
        for form, first in (("e", 0xF9), ("f", 0xFA)):
            try:
                packed = struct.pack(">" + form, value)
                if struct.unpack(">" + form, packed)[0] == value:
                    break
            except (OverflowError, ValueError):
                pass
        else:
            packed, first = struct.pack(">d", value), 0xFB
        self.raw(bytes((first,)))
        return self.raw(packed)


def encode_into(buf, value):
    """Encode `value` at the start of `buf`; the number of bytes written. Raises EncodeError."""
    encoder = Encoder(buf)
    encoder.encode(value)
    return encoder.pos


def dumps(value, limit=65536):
    """`value` as bytes, in a buffer that doubles up to `limit`: for small records and tests, not for hot paths."""
    size = 128
    while True:
        buf = bytearray(size)
        try:
            return bytes(memoryview(buf)[: encode_into(buf, value)])
        except EncodeError as error:
            if size >= limit or "full" not in str(error):
                raise
            size *= 2
