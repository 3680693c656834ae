"""Windows made by tests, on both interpreters (MicroPython has no compressor): any operations, right or wrong."""

from install_rig import Rig
from recipe import SECTOR, Recipe, payload, sha
from swupdate.install.manifest import windows

SIZE = 11 * SECTOR  # of the app's partitions
OLD = payload("app", 9 * SECTOR + 10, 1)
# New bytes in the first chunk; all else has moved, and its beginning stands once more at its end.
NEW = OLD[:40] + b"another version" + OLD[40 : 9 * SECTOR - 3000] + OLD[1000:4500] + payload("app", 300, 7)
PLAIN = "".join("%02x" % b for b in sha(NEW)[:16]) + ".bin"


def number(value):
    """Seven bits a byte, the lowest first."""
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def operation(diff, move=0, extra=b"", size=None):
    """`diff`: bytes to add to the base, `move` behind where the operation before ended; then new bytes."""
    out = number(len(diff) if size is None else size)
    if diff or size:
        out += number(2 * move if move >= 0 else -2 * move - 1)
    return out + number(len(extra)) + diff + extra


def deflated(plain):
    """One block of fixed Huffman codes (RFC 1951, 3.2.6): literals, and matches of 258 in runs of one byte."""
    out = bytearray()
    bits = count = at = 0

    def put(value, size):
        nonlocal bits, count
        bits |= value << count
        count += size
        while count > 7:
            out.append(bits & 255)
            bits >>= 8
            count -= 8

    def code(value, size):
        for i in range(size - 1, -1, -1):
            put(value >> i & 1, 1)

    put(3, 3)
    while at < len(plain):
        byte = plain[at]
        if at and plain[at - 1 : at + 258] == plain[at : at + 1] * 259:
            code(0xC5, 8)
            code(0, 5)
            at += 258
        else:
            code(0x30 + byte, 8) if byte < 144 else code(0x100 + byte, 9)
            at += 1
    code(0, 7)
    put(0, 7)
    return bytes(out)


def spans(size):
    """(begin, end) of every window."""
    return [(SECTOR * (8 * i - 7) if i else 0, min(SECTOR * (8 * i + 1), size)) for i in range(windows(size))]


def pieces():
    """What NEW is made of: (place in OLD or None, begin in NEW, end)."""
    tail = 9 * SECTOR - 3000 + 15
    return [(0, 0, 40), (None, 40, 55), (40, 55, tail), (1000, tail, tail + 3500), (None, tail + 3500, len(NEW))]


def plain_windows():
    """The operations of each window of the delta from OLD to NEW."""
    found = []
    for begin, end in spans(len(NEW)):
        expected, plain = begin, b""
        for place, low, high in pieces():
            a, b = max(low, begin), min(high, end)
            if a < b and place is None:
                plain += operation(b"", 0, NEW[a:b])
            elif a < b:
                here = place + a - low
                plain += operation(bytes(b - a), here - expected)
                expected = here + b - a
        found.append(plain)
    return found


def delta():
    """The windows of the delta from OLD to NEW."""
    return [deflated(plain) for plain in plain_windows()]


def packed(data):
    """The windows of `data` without a base."""
    return [deflated(operation(b"", 0, data[begin:end])) for begin, end in spans(len(data))]


def lengths(found):
    """As the manifest carries them."""
    return b"".join([bytes((len(window) >> 8, len(window) & 255)) for window in found])


def device(*forms, app=OLD, new=NEW):
    """A device that runs `app` and is offered `new`; `forms`: (name, windows, base or b"")."""
    return offered(Rig(app=app, app_size=SIZE), *forms, new=new)


def offered(rig, *forms, new=NEW):
    """The same device, whose other slot is blank, with this offer."""
    recipe = Recipe([("app", new)])
    if forms:
        recipe.set(-7, [[name, lengths(found)] + ([sha(base)] if base else []) for name, found, base in forms])
    rig.server.files.clear()
    rig.offer(recipe)
    for name, found, _ in forms:
        rig.server.files[name] = b"".join(found)
    blank = b"\xff" * SECTOR
    for label in ("ota_1", "app_1"):
        data = rig.flash.data[label]
        for at in range(0, len(data), SECTOR):
            data[at : at + SECTOR] = blank
    for log in (rig.flash.log, rig.server.log, rig.server.sent, rig.told, rig.store.files):
        log.clear()
    return rig


def only_what_was_signed(rig, new=NEW):
    """Whatever was written into the app is a chunk of `new`, at its place."""
    filled = new + b"\xff" * SECTOR
    for label, sector, data, at in rig.flash.log:
        if label == "app_1" and data and sector < SIZE // SECTOR - 1:
            chunk = filled[sector * SECTOR : sector * SECTOR + SECTOR]
            assert at == 0 and chunk[: len(data)] == data, sector
