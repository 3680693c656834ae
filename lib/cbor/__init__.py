"""CBOR (RFC 8949): encode into the caller's buffer, decode within hard limits.

None, bool, int from -2^64 to 2^64 - 1, float, str, bytes, list and dict stand for themselves; Tag is a tagged item, a
bignum (tags 2 and 3) too: neither OCF nor SUIT has any. `undefined` is read as None. Other simple values are refused.
The encoder writes shortest heads, definite lengths, shortest floats (section 4.1); the decoder goes by index over one
buffer, with limits that hold before anything is allocated. One module, because each costs the device some 400 bytes.
"""

import struct

from port import const

_UINT = const(0)
_NINT = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)

# Of the encoder
_DEPTH = const(16)  # also what stops a list that holds itself

# Of the decoder
_MAX_DEPTH = const(8)
_MAX_ITEMS = const(256)
_INDEFINITE = const(31)
_BREAK = const(0xFF)
_PIECE = const(-1)  # a depth: give the bytes of a string as they are
_SHORT = "the data ends too early"


# Values that Python has no type for


class Tag:
    """`value` under tag `number`. Not hashable: a Tag is no key of a map."""

    def __init__(self, number, value):
        self.number = number
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value


_NO_KEY = (list, dict, Tag)


class Pairs(list):
    """A map as a list of (key, value), encoded in this order: MicroPython's dict keeps none."""


# The encoder


class EncodeError(ValueError):
    """The buffer is full, or a value has no CBOR form here."""


class Encoder:
    """Writes items one after the other into `buf` (a bytearray or a writable memoryview), which never grows.

    After an EncodeError a part of the item may have been written: `reset()`, or set `pos` back to where it began.
    """

    def __init__(self, buf):
        self.buf = buf
        self.size = len(buf)
        self.pos = 0

    def reset(self):
        """Begin again at the start of the buffer."""
        self.pos = 0

    def view(self):
        """What was written, as a memoryview of the buffer."""
        return memoryview(self.buf)[: self.pos]

    def head(self, major, n):
        """Write the head of an item: `major` type 0 to 7 and argument `n` (not negative), in its shortest form.

        A caller who writes a head of an array (4), map (5) or tag (6) must then encode the items it announces.
        """
        pos = self.pos
        info, bits = n, 0
        if n > 23:
            info, bits = 24, 8
            while n >> bits:
                info += 1
                bits *= 2
            if bits > 64:
                raise EncodeError("an integer is too large")
        if pos + (bits >> 3) >= self.size:
            raise EncodeError("the buffer is full")
        self.buf[pos] = major << 5 | info
        while bits:
            bits -= 8
            pos += 1
            self.buf[pos] = n >> bits & 0xFF
        self.pos = pos + 1

    def encode(self, value, depth=0):
        """Write `value`: None, bool, int, float, str, bytes-like, list, tuple, dict, Pairs or Tag.

        A dict is written in its own order, which on MicroPython is none: use Pairs, or `pairs`, where order matters.
        Raises EncodeError, also when more than 16 levels are nested (`depth` is how many are open).
        """
        kind = type(value)
        if kind is str:
            self._string(_TEXT, value.encode())
        elif kind is int:
            if value < 0:
                self.head(_NINT, -1 - value)
            else:
                self.head(_UINT, value)
        elif value is None or kind is bool:
            self.head(_SIMPLE, 22 if value is None else 21 if value else 20)
        elif kind is bytes or kind is bytearray or kind is memoryview:
            self._string(_BYTES, value)
        elif kind is float:
            self._float(value)
        elif depth >= _DEPTH:
            raise EncodeError("nested too deeply")
        elif kind is list or kind is tuple:
            self._array(value, depth)
        elif kind is dict:
            self.pairs(value.items(), len(value), depth)
        elif kind is Pairs:
            self.pairs(value, len(value), depth)
        elif kind is Tag:
            self.head(_TAG, value.number)
            self.encode(value.value, depth + 1)
        else:
            raise EncodeError("%s has no CBOR form" % kind.__name__)

    def pairs(self, items, count, depth=0):
        """Write a map of `count` (key, value) pairs in the order in which `items` gives them. Raises EncodeError."""
        self.head(_MAP, count)
        for key, value in items:
            self.encode(key, depth + 1)
            self.encode(value, depth + 1)

    def _array(self, items, depth):
        self.head(_ARRAY, len(items))
        for item in items:
            self.encode(item, depth + 1)

    def raw(self, data):
        """Write bytes that are CBOR already. Raises EncodeError."""
        end = self.pos + len(data)
        if end > self.size:
            raise EncodeError("the buffer is full")
        self.buf[self.pos : end] = data
        self.pos = end

    def _string(self, major, data):
        n = len(data)
        pos = self.pos + 1
        end = pos + n
        if n < 24 and end <= self.size:  # most are: spare them two calls
            self.buf[pos - 1] = major << 5 | n
            self.buf[pos:end] = data
            self.pos = end
        else:
            self.head(major, n)
            self.raw(data)

    def _float(self, value):
        # The shortest form that keeps the value, as unpacking shows (MicroPython packs some of the smallest halves
        # wrong); every NaN is the one of half precision.
        form = "e"
        if value == value:
            for form in "efd":
                try:
                    if struct.unpack(">" + form, struct.pack(">" + form, value))[0] == value:
                        break
                except OverflowError:
                    pass
        self.raw(bytes((0xF9 + "efd".find(form),)))
        self.raw(struct.pack(">" + form, value))


def encode_into(buf, value):
    """Encode `value` at the start of `buf`; the number of bytes written. Raises EncodeError."""
    encoder = Encoder(buf)
    encoder.encode(value)
    return encoder.pos


def dumps(value, limit=65536):
    """`value` as bytes, in a buffer that doubles up to `limit` bytes: for small records and tests, not for hot paths.

    Raises EncodeError.
    """
    size = 128
    while True:
        buf = bytearray(size)
        try:
            return bytes(memoryview(buf)[: encode_into(buf, value)])
        except EncodeError as error:
            if size >= limit or "full" not in str(error):
                raise
            size *= 2


# The decoder


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
