"""PEM (RFC 7468): DER as text between two lines with a label."""

from binascii import a2b_base64, b2a_base64

from port import const

_MOST = const(16384)  # bytes of text
_BLOCKS = const(8)


def encode(label, der):
    """The text of one block, e.g. with the label "CERTIFICATE"; lines of 64 characters."""
    lines = b"".join([b2a_base64(der[i : i + 48]) for i in range(0, len(der), 48)])
    return "-----BEGIN %s-----\n%s-----END %s-----\n" % (label, lines.decode(), label)


def decode(text, label="CERTIFICATE"):
    """The blocks with this label (None: all) as a list of DER, never empty; `text` is str or bytes.

    Other labels and text between the blocks are passed over. Raises ValueError: no such block, more than 8, more than
    16 KB, a block without its end, or one that is not base64.
    """
    data = text.encode() if isinstance(text, str) else bytes(text)
    if len(data) > _MOST:
        raise ValueError("PEM is too long")
    found = []
    start = data.find(b"-----BEGIN ")
    while start >= 0:
        stop = data.find(b"-----", start + 11)
        name = data[start + 11 : stop]
        end = data.find(b"-----END " + name + b"-----", stop)
        if stop < 0 or end < 0:
            raise ValueError("PEM block has no end")
        if label is None or name == label.encode():
            body = b"".join(data[stop + 5 : end].split())
            der = a2b_base64(body)
            # Decoding skips what is not base64: what it makes of the text must be the text.
            if not der or b2a_base64(der)[:-1] != body:
                raise ValueError("PEM block is not base64")
            found.append(der)
        start = data.find(b"-----BEGIN ", end)
    if not 0 < len(found) <= _BLOCKS:
        raise ValueError("too many PEM blocks" if found else "no PEM block")
    return found
