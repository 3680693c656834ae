"""The decoder: by index over one buffer, with limits that hold before anything is allocated."""

import struct

from port import const

from cbor.tag import Tag

_MAX_DEPTH = const(8)
_MAX_ITEMS = const(256)
_INDEFINITE = const(31)
_BREAK = const(0xFF)


class DecodeError(ValueError):
    """Not CBOR, or more than the limits allow. `offset` is where in the data."""

    def __init__(self, text, offset):
        super().__init__("%s at byte %d" % (text, offset))
        self.offset = offset


def decode(data, strict=False, max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, copy=True):
    """The one item that `data` (bytes-like) holds. Raises DecodeError.

    `max_items` counts every item of the whole, `max_depth` the nesting of arrays, maps and tags. `strict` is for signed
    data: definite lengths, shortest heads, no floats, no simple values but false, true and null, valid UTF-8. Without it
    (OCF) indefinite lengths are read, text that is not UTF-8 becomes bytes, and NULs at the end of text are cut off.
    `copy=False` gives byte strings as memoryviews of `data`. A duplicate or unhashable key is always refused.
    """
    value, end = decode_prefix(data, 0, strict, max_depth, max_items, copy)
    if end != len(data):
        raise DecodeError("something follows the item", end)
    return value


def decode_prefix(data, offset=0, strict=False, max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, copy=True):
    """The item that begins at `offset`, and where the next one would begin: (value, offset). As `decode` otherwise."""
    decoder = _Decoder(data, strict, max_items, copy)
    decoder.pos = offset
    value = decoder.item(max_depth)
    return value, decoder.pos


class _Decoder:
    def __init__(self, data, strict, items, copy):
        self.data = memoryview(data)
        self.pos = 0
        self.strict = strict
        self.items = items
        self.copy = copy

    def fail(self, text):
        raise DecodeError(text, self.pos)

    def take(self, count):
        """The next `count` bytes, as a view."""
        start = self.pos
        if count > len(self.data) - start:
            self.fail("the data ends too early")
        self.pos = start + count
        return self.data[start : start + count]

    def head(self):
        """(major type, additional information, argument); the argument of an indefinite length is -1."""
        first = self.take(1)[0]
        info = first & 31
        if info < 24:
            return first >> 5, info, info
        if info == _INDEFINITE:
            if self.strict or first >> 5 in (0, 1, 6):
                self.fail("an indefinite length")
            return first >> 5, info, -1
        if info > 27:
            self.fail("a reserved head")
        size = 1 << info - 24
        number = int.from_bytes(self.take(size), "big")
        if self.strict and first >> 5 != 7 and number < (24 if size == 1 else 1 << size * 4):
            self.fail("a head that is not the shortest")
        return first >> 5, info, number

    def item(self, depth):
        """The next item; `depth` more levels may open below it."""
        self.items -= 1
        if self.items < 0:
            self.fail("too many items")
        major, info, number = self.head()
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 2 or major == 3:
            return self.string(major, number)
        if major == 7:
            return self.simple(info, number)
        if depth <= 0:
            self.fail("nested too deeply")
        if major == 4:
            return self.array(number, depth - 1)
        if major == 5:
            return self.map(number, depth - 1)
        return Tag(number, self.item(depth - 1))

    def string(self, major, length):
        if length >= 0:
            data = self.take(length)
        else:
            data = b""
            while not self.ended():
                kind, _, length = self.head()
                if kind != major or length < 0:
                    self.fail("a piece of another type in a string")
                self.items -= 1
                if self.items < 0:
                    self.fail("too many items")
                data += bytes(self.take(length))
        if major == 2:
            return bytes(data) if self.copy else memoryview(data)
        try:
            text = str(data, "utf-8")
        except ValueError:  # UnicodeError
            if self.strict:
                self.fail("text that is not UTF-8")
            return bytes(data)
        return text if self.strict else text.rstrip("\0")

    def ended(self):
        """Whether the item of indefinite length ends here; its break is then taken."""
        if self.pos >= len(self.data):
            self.fail("the data ends too early")
        if self.data[self.pos] != _BREAK:
            return False
        self.pos += 1
        return True

    def array(self, count, depth):
        found = []
        if count < 0:
            while not self.ended():
                found.append(self.item(depth))
            return found
        self.fits(count)
        for _ in range(count):
            found.append(self.item(depth))
        return found

    def map(self, count, depth):
        found = {}
        if count >= 0:
            self.fits(2 * count)
        while count and not (count < 0 and self.ended()):
            key = self.item(depth)
            if isinstance(key, memoryview):
                key = bytes(key)
            if isinstance(key, (list, dict, Tag)):
                self.fail("a key that cannot be one")
            if key in found:
                self.fail("a duplicate key")
            found[key] = self.item(depth)
            count -= 1
        return found

    def fits(self, count):
        """Refuse a count that the rest of the data or the limit cannot hold, before anything is made for it."""
        if count > self.items:
            self.fail("too many items")
        if count > len(self.data) - self.pos:
            self.fail("the data ends too early")

    def simple(self, info, number):
        if info == 20 or info == 21:
            return info == 21
        if info == 22:
            return None
        if self.strict or info == _INDEFINITE:
            self.fail("a simple value or float that is not allowed here")
        if info == 23:
            return None  # undefined
        if info < 25:
            self.fail("an unknown simple value")
        size = 1 << info - 24
        return struct.unpack(">" + " efd"[info - 24], self.data[self.pos - size : self.pos])[0]
