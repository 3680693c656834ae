"""DER (ITU-T X.690 section 10), as much as certificates need: a strict reader and a small writer.

The reader follows the structure that its caller names and never descends by itself, so input cannot make it recurse.
What is not DER is refused with ValueError: indefinite lengths, lengths that could be shorter, tags above 30, contents
that go on behind their element.
"""


class Reader:
    """Takes elements one after another out of `data` (bytes-like; what it returns are views of it)."""

    def __init__(self, data):
        self._rest = memoryview(data)

    def more(self):
        """Whether something is left."""
        return len(self._rest) > 0

    def end(self):
        """ValueError when something is left."""
        if self.more():
            raise ValueError("DER goes on behind its end")

    def take(self, tag=None):
        """The next element as (tag, whole element, content). ValueError when its tag is not `tag` (None: any)."""
        rest = self._rest
        if len(rest) < 2 or rest[0] & 31 == 31 or tag is not None and rest[0] != tag:
            raise ValueError("DER has not the element that is expected")
        start = 2
        size = rest[1]
        if size > 127:
            start = size - 126  # 0x81 and one byte, 0x82 and two: nothing that is read here is longer
            size = int.from_bytes(rest[2:start], "big") if start in (3, 4) else 0
            if size < (128 if start == 3 else 256):
                raise ValueError("DER length is wrong")
        size += start
        if size > len(rest):
            raise ValueError("DER is cut short")
        self._rest = rest[size:]
        return rest[0], rest[:size], rest[start:size]

    def read(self, tag):
        """The content of the next element, whose tag must be `tag`."""
        return self.take(tag)[2]

    def inside(self, tag):
        """A Reader of the content of the next element."""
        return Reader(self.take(tag)[2])

    def maybe(self, tag):
        """The content of the next element if it has this tag; else None, and it stays where it is."""
        return self.take(tag)[2] if self.more() and self._rest[0] == tag else None

    def true(self):
        """BOOLEAN DEFAULT FALSE: whether it is there. DER leaves out a default and writes TRUE as 0xFF."""
        value = self.maybe(1)
        if value is not None and value != b"\xff":
            raise ValueError("DER boolean is wrong")
        return value is not None

    def unsigned(self):
        """INTEGER from 0 on, in its shortest form, of 264 bits at most."""
        data = self.read(2)
        if not 0 < len(data) < 34 or data[0] > 127 or len(data) > 1 and data[0] == 0 and data[1] < 128:
            raise ValueError("DER integer is wrong")
        return int.from_bytes(data, "big")

    def bits(self):
        """BIT STRING as (number of unused bits, content). Unused bits are zero."""
        data = self.read(3)
        unused = data[0] if len(data) else 8
        if unused > 7 or unused and (len(data) == 1 or data[-1] & ((1 << unused) - 1)):
            raise ValueError("DER bit string is wrong")
        return unused, data[1:]


def oid(data):
    """The content of an OBJECT IDENTIFIER as text, "1.3.6.1". Raises ValueError."""
    arcs = []
    n = 0
    for byte in data[:40]:
        if n == 0 and byte == 128:
            break
        n = n << 7 | byte & 127
        if byte < 128:
            arcs.append(n)
            n = 0
    if not 0 < len(data) <= 40 or byte > 127:
        raise ValueError("DER object identifier is wrong")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(n) for n in [first, arcs[0] - 40 * first] + arcs[1:])


def encode(tag, *parts):
    """The element with this tag whose content is `parts` (bytes-like) in a row. ValueError from 64 KB on."""
    content = b"".join(parts)
    size = len(content)
    if size > 0xFFFF:
        raise ValueError("too long for DER")
    if size < 128:
        return bytes((tag, size)) + content
    if size < 256:
        return bytes((tag, 0x81, size)) + content
    return bytes((tag, 0x82, size >> 8, size & 255)) + content


def _unsigned(data):
    data = bytes(data).lstrip(b"\0")
    return encode(2, b"\0" if not data or data[0] > 127 else b"", data)


def encode_signature(rs):
    """ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r and s, 32 bytes each. ValueError when these are not 64 bytes."""
    if len(rs) != 64:
        raise ValueError("a signature has 64 bytes")
    return encode(0x30, _unsigned(rs[:32]), _unsigned(rs[32:]))


def decode_signature(data):
    """r and s (64 bytes) of an ECDSA-Sig-Value. ValueError when it is not DER, or one is 0 or has over 256 bits."""
    outer = Reader(data)
    inner = outer.inside(0x30)
    outer.end()
    r = inner.unsigned()
    s = inner.unsigned()
    inner.end()
    if not r or not s or (r | s) >> 256:
        raise ValueError("a signature's number is out of range")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
