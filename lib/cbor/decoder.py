"""Decoding of CBOR: by index over one buffer, within limits that hold before anything is allocated."""

import struct

from port import const

from cbor import Tag

_MAX_DEPTH = const(8)
_MAX_ITEMS = const(256)
_INDEFINITE = const(31)
_BREAK = const(0xFF)
_PIECE = const(-1)  # a depth: give the bytes of a string as they are
_SHORT = "the data ends too early"
_NO_KEY = (list, dict, Tag)


class DecodeError(ValueError):
    """Not CBOR, or more than the limits allow. `offset` is where in the data: at the item that was refused."""

    def __init__(self, text, offset):
        super().__init__("%s at byte %d" % (text, offset))
        self.offset = offset


def decode(data, strict=False, max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, copy=True):
    """The one item that `data` (bytes-like) holds. Raises DecodeError.

    `max_items` counts every item of the whole, also the pieces of a string; `max_depth` is how deep arrays, maps and
    tags may be nested. What is allocated is proportional to len(data), which is the caller's to limit. `strict` is for
    signed data: definite lengths, shortest heads, no floats, no simple values but false, true and null, valid UTF-8.
    Without it (OCF) indefinite lengths are read, text that is not UTF-8 becomes bytes, and NULs at the end of text are
    cut off. `copy=False` gives byte strings as memoryviews of `data`. A key that cannot be one (array, map, tag), or
    that equals another (as Python compares: 1, 1.0 and true are equal), is always refused.
    """
    value, end = decode_prefix(data, 0, strict, max_depth, max_items, copy)
    if end != len(data):
        raise DecodeError("something follows the item", end)
    return value


def decode_prefix(data, offset=0, strict=False, max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, copy=True):
    """The item that begins at `offset`, and where the next one would begin: (value, offset). As `decode` otherwise."""
    decoder = _Decoder(data, strict, copy)
    decoder.items = max_items
    decoder.pos = offset
    return decoder.item(max_depth), decoder.pos


def _utf8(data):
    """`data` as text, or None when it is not UTF-8."""
    try:
        text = str(data, "utf-8")
        if len(text) != len(data):
            _check(text)
        return text
    except ValueError:  # UnicodeError is one
        return None


def _check(text):
    """Raise ValueError for overlong forms and surrogates, which MicroPython lets pass (RFC 3629 section 3)."""
    for char in text:
        if chr(ord(char)) != char or ord(char) >> 11 == 27:
            raise ValueError


class _Decoder:
    # A function whose locals and stack take at most 11 words costs MicroPython no heap: hence so many small ones.

    def __init__(self, data, strict, copy):
        self.data = memoryview(data)
        self.strict = strict
        self.copy = copy
        self.pos = 0  # stays at an item until its head has been read, at a string until all of it
        self.items = 0

    def fail(self, text):
        raise DecodeError(text, self.pos)

    def fits(self, count, pos):
        """Refuse `count` items or bytes from `pos` on that are not there, before anything is made for them."""
        if count > len(self.data) - pos:
            self.fail(_SHORT)

    def item(self, depth):
        """The next item; `depth` more levels may open in it."""
        pos = self.pos
        if pos >= len(self.data):
            self.fail(_SHORT)
        if self.items <= 0:
            self.fail("too many items")
        self.items -= 1
        major, number = self.data[pos] >> 5, self.data[pos] & 31
        pos += 1
        if number > 23:
            if major == 7:
                return self.float(number, pos)
            number, pos = self.argument(major, number, pos)
        if major == 2 or major == 3:
            return self.string(major, number, pos, depth)
        self.pos = pos
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 7:
            return self.simple(number)
        if depth <= 0:
            self.fail("nested too deeply")
        if major == 6:
            return Tag(number, self.item(depth - 1))
        # An array has `number` items to come, a map twice as many.
        if number * (major - 3) > self.items:
            self.fail("too many items")
        self.fits(number * (major - 3), pos)
        return self.array(number, depth - 1) if major == 4 else self.map(number, depth - 1)

    def argument(self, major, info, pos):
        """(argument, position after it) of a head that needs more than its first byte; -1 for an indefinite length."""
        if info == _INDEFINITE and 1 < major < 6 and not self.strict:
            return -1, pos
        if info > 27:
            self.fail("a head that may not be here")
        size = 1 << info - 24
        self.fits(size, pos)
        number = 0
        while size:
            number = number << 8 | self.data[pos]
            pos += 1
            size -= 1
        if self.strict and number < (24 if info == 24 else 1 << (4 << info - 24)):
            self.fail("a head that is not the shortest")
        return number, pos

    def string(self, major, length, pos, depth):
        if length < 0:
            self.pos = pos
            data = self.pieces(major)
        else:
            self.fits(length, pos)
            data = self.data[pos : pos + length]
            self.pos = pos + length
        if depth == _PIECE:
            return data
        if major == 3:
            text = _utf8(data)
            if text is not None:
                return text if self.strict or not text or data[-1] else text.rstrip("\0")
            if self.strict:
                self.fail("text that is not UTF-8")
        return bytes(data) if self.copy or major == 3 else memoryview(data)

    def pieces(self, major):
        """The bytes of a string of indefinite length: strings of the same type, of definite length."""
        data = bytearray()
        while not self.ended():
            first = self.data[self.pos]
            if first >> 5 != major or first & 31 == _INDEFINITE:
                self.fail("a piece of another type in a string")
            data += self.item(_PIECE)
        return data

    def ended(self):
        """Whether the item of indefinite length ends here; its break is then taken."""
        self.fits(1, self.pos)
        if self.data[self.pos] != _BREAK:
            return False
        self.pos += 1
        return True

    def array(self, count, depth):
        found = []
        while count and not (count < 0 and self.ended()):
            found.append(self.item(depth))
            count -= 1
        return found

    def map(self, count, depth):
        found = {}
        while count and not (count < 0 and self.ended()):
            key = self.item(depth)
            if isinstance(key, memoryview):
                key = bytes(key)
            if isinstance(key, _NO_KEY):
                self.fail("a key that cannot be one")
            if key in found:
                self.fail("a duplicate key")
            found[key] = self.item(depth)
            count -= 1
        return found

    def simple(self, number):
        if number < 20 or self.strict and number == 23:
            self.fail("an unknown simple value")
        return number == 21 if number < 22 else None  # 22 null, 23 undefined

    def float(self, info, pos):
        if self.strict or not 24 < info < 28:
            self.fail("a float or simple value that may not be here")
        size = 1 << info - 24
        self.fits(size, pos)
        self.pos = pos + size
        return struct.unpack(">" + "efd"[info - 25], self.data[pos : pos + size])[0]
