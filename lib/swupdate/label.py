"""The label of a slot: what it is. A phase."""

from cbor.decoder import decode_prefix
from port import const

_SIZE = const(288)  # what is read of the label's sector: swupdate.install.writer writes no more


def read(app):
    """The label (a dict, see the contract) in the partition `app`, or None when it says nothing that makes sense."""
    buf = bytearray(_SIZE)
    try:
        app.readblocks(app.ioctl(4, 0) - 1, buf, 0)
        label, _ = decode_prefix(buf, strict=True)
        whole = label["v"] > 0 and label["seq"] >= 0 and label["built"] >= 0 and label.get("trust", 0) >= 0
        whole = whole and label.get("expires", 0) >= 0
        for size, digest in ((1, label["manifest"]), label["fw"], label["app"]):
            whole = whole and size > 0 and isinstance(digest, bytes) and len(digest) == 32
        return label if whole and isinstance(label["version"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
