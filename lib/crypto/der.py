"""DER (ITU-T X.690 section 10), as much as certificates need: a strict reader and a small writer.

The reader follows the structure that its caller names and never descends by itself, so input cannot make it recurse.
What is not DER is refused with ValueError: indefinite lengths, lengths that could be shorter, tags above 30, contents
that go on behind their element.
"""

# AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 section 3.2).
SHA256 = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
# SubjectPublicKeyInfo of an uncompressed point of P-256 up to x (RFC 5480 section 2).
P256 = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"


def check(good, why="malformed DER"):
    """ValueError(why) unless `good`."""
    if not good:
        raise ValueError(why)


class Reader:
    """Takes elements one after another out of `data` (bytes-like; what it returns are views of it)."""

    def __init__(self, data):
        self._rest = memoryview(data)

    def more(self):
        """Whether something is left."""
        return len(self._rest) > 0

    def end(self):
        """ValueError when something is left."""
        check(not self.more())

    def take(self, tag=None):
        """The next element as (tag, whole element, content). ValueError when its tag is not `tag` (None: any)."""
        rest = self._rest
        check(len(rest) > 1 and rest[0] & 31 < 31 and (tag is None or rest[0] == tag))
        start = 2
        size = rest[1]
        if size > 127:
            start = size - 126  # 0x81 and one byte, 0x82 and two: nothing that is read here is longer
            size = int.from_bytes(rest[2:start], "big") if start in (3, 4) else 0
            check(size > (127 if start == 3 else 255))
        size += start
        check(size <= len(rest))
        self._rest = rest[size:]
        return rest[0], rest[:size], rest[start:size]

    def read(self, tag):
        """The content of the next element, whose tag must be `tag`."""
        return self.take(tag)[2]

    def whole(self):
        """The next element, which must be a SEQUENCE, with its head, as bytes."""
        return bytes(self.take(0x30)[1])

    def inside(self, tag=0x30):
        """A Reader of the content of the next element."""
        return Reader(self.read(tag))

    def maybe(self, tag):
        """The content of the next element if it has this tag; else None, and it stays where it is."""
        return self.read(tag) if self.more() and self._rest[0] == tag else None

    def true(self):
        """BOOLEAN DEFAULT FALSE: whether it is there. DER leaves out a default and writes TRUE as 0xFF."""
        value = self.maybe(1)
        check(value is None or value == b"\xff")
        return value is not None

    def unsigned(self):
        """INTEGER from 0 on, in its shortest form, of 264 bits at most."""
        data = self.read(2)
        check(0 < len(data) < 34 and data[0] < 128 and (data[0] or len(data) == 1 or data[1] > 127))
        return int.from_bytes(data, "big")

    def bits(self):
        """BIT STRING as (number of unused bits, content). Unused bits are zero."""
        data = self.read(3)
        check(len(data) and data[0] < 8 and not data[-1] & ((1 << data[0]) - 1))
        return data[0], data[1:]


def only(data):
    """A Reader of the content of `data`, which must be one SEQUENCE and nothing else."""
    outer = Reader(data)
    inner = outer.inside()
    outer.end()
    return inner


def oid(data):
    """The content of an OBJECT IDENTIFIER (40 bytes at most) as text, "1.3.6.1". Raises ValueError."""
    check(0 < len(data) <= 40 and data[-1] < 128)
    text = ""
    n = 0
    for byte in data:
        check(n or byte != 128)
        n = n << 7 | byte & 127
        if byte < 128:
            if text:
                text += ".%d" % n
            else:
                text = "%d.%d" % (min(n // 40, 2), n - min(n // 40, 2) * 40)
            n = 0
    return text


def encode(tag, *parts):
    """The element with this tag whose content is `parts` (bytes-like) in a row. ValueError from 64 KB on."""
    content = b"".join(parts)
    size = len(content)
    check(size < 65536)
    if size > 255:
        head = tag, 0x82, size >> 8, size & 255
    elif size > 127:
        head = tag, 0x81, size
    else:
        head = tag, size
    return bytes(head) + content


def _unsigned(data):
    data = bytes(data).lstrip(b"\0")
    return encode(2, b"" if data and data[0] < 128 else b"\0", data)


def encode_signature(rs):
    """ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r and s, 32 bytes each. ValueError when these are not 64 bytes."""
    check(len(rs) == 64, "a signature has 64 bytes")
    return encode(0x30, _unsigned(rs[:32]), _unsigned(rs[32:]))


def decode_signature(data):
    """r and s (64 bytes) of an ECDSA-Sig-Value. ValueError when it is not DER, or one is 0 or has over 256 bits."""
    reader = only(data)
    r = reader.unsigned()
    s = reader.unsigned()
    reader.end()
    check(r and s and not (r | s) >> 256)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
