"""UUIDs (RFC 9562) as text and as bytes, for the phases: what is resident only compares them."""

from binascii import hexlify, unhexlify


def is_uuid(text):
    """Whether `text` is a UUID in its 36-character form."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    return all(text[i] == "-" if i in (8, 13, 18, 23) else text[i] in "0123456789abcdefABCDEF" for i in range(36))


def raw(uuid):
    """The 16 bytes of a UUID in text."""
    return unhexlify(uuid.replace("-", ""))


def text(data):
    """A UUID as text."""
    h = str(hexlify(bytes(data)), "ascii")
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
