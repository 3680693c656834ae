"""CBOR (RFC 8949): encode into the caller's buffer; `cbor.decoder`, on the device a part of phases, decodes.

None, bool, int from -2^64 to 2^64 - 1, float, str, bytes, list and dict stand for themselves; a Tag (of the decoder) is a
tagged item, a bignum (tags 2 and 3) too: neither OCF nor SUIT has any. `undefined` is read as None. Other simple values
are refused. What is written has shortest heads, definite lengths and shortest floats (section 4.1).
"""

from port import const

_UINT = const(0)
_NINT = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_SIMPLE = const(7)

_DEPTH = const(16)  # also what stops a list that holds itself


class Pairs(list):
    """A map as a list of (key, value), encoded in this order: MicroPython's dict keeps none."""


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
        """Write `value`: None, bool, int, float, str, bytes-like, list, tuple, dict or Pairs, or what writes itself:
        `write(encoder, depth)`, as `cbor.decoder.Tag`.

        A dict is written in its own order, which on MicroPython is none: use Pairs, or `pairs`, where order matters.
        Raises EncodeError, also when more than 16 levels are nested (`depth` is how many are open).
        """
        kind = type(value)
        if kind is int:
            if value < 0:
                self.head(_NINT, -1 - value)
            else:
                self.head(_UINT, value)
        elif kind is str:
            value = value.encode()
            self.head(_TEXT, len(value))
            self.raw(value)
        elif value is None or kind is bool:
            self.head(_SIMPLE, 22 if value is None else 21 if value else 20)
        elif kind is bytes or kind is bytearray or kind is memoryview:
            self.head(_BYTES, len(value))
            self.raw(value)
        elif kind is float:
            self._float(value)
        elif depth >= _DEPTH:
            raise EncodeError("nested too deeply")
        elif kind is list or kind is tuple:
            self.head(_ARRAY, len(value))
            self._all((value,), depth + 1)
        elif kind is dict or kind is Pairs:
            self.pairs(value if kind is Pairs else value.items(), len(value), depth)
        elif hasattr(value, "write"):
            value.write(self, depth)
        else:
            raise EncodeError("%s has no CBOR form" % kind.__name__)

    def pairs(self, items, count, depth=0):
        """Write a map of `count` (key, value) pairs in the order in which `items` gives them. Raises EncodeError."""
        self.head(_MAP, count)
        self._all(items, depth + 1)

    def _all(self, groups, depth):
        # Short texts are most of what is encoded: they are spared all calls that can be spared.
        kind, text, length = type, str, len
        buf = self.buf
        size = self.size
        pos = self.pos
        for group in groups:
            for item in group:
                if kind(item) is text:
                    data = item.encode()
                    end = pos + 1 + length(data)
                    if end < pos + 25 and end <= size:
                        buf[pos] = 0x5F + end - pos
                        buf[pos + 1 : end] = data
                        pos = end
                        continue
                self.pos = pos
                self.encode(item, depth)
                pos = self.pos
        self.pos = pos

    def raw(self, data):
        """Write bytes that are CBOR already. Raises EncodeError."""
        end = self.pos + len(data)
        if end > self.size:
            raise EncodeError("the buffer is full")
        self.buf[self.pos : end] = data
        self.pos = end

    def _float(self, value):
        # The shortest form that keeps the value, as unpacking shows (MicroPython packs some of the smallest halves
        # wrong); every NaN is the one of half precision.
        import struct

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
