"""Whether a slot holds what it says, read from the flash to its end. A phase."""

import hashlib

from port import const, sleep_ms

from swupdate import arming

_CHUNK = const(4096)
_PIECE = const(1024)


async def whole(slots, offer, buf):
    """Whether the other slot holds what its label says, and the label says what `offer` does (unless that is None).

    That includes the trust store that the release was verified with.

    `buf`: 1 KB or more to read into.
    """
    label = slots.label(slots.other)
    if not label or offer and (bytes(label["manifest"]) != offer.manifest or label.get("trust", 0) != offer.trust):
        return False
    return await holds(slots, slots.other, label, buf, offer)


async def holds(slots, slot, label, buf, offer=None):
    """Whether `slot` looks valid and holds what its label says."""
    if not arming.valid(slots, slot):
        return False
    for half in ("fw", "app"):
        size, expected = label[half]
        part = offer.part(half) if offer else None
        if part:
            size, expected = part.size, part.digest
        if size > slots.size(half) or await _digest(slots.partition(slot, half), size, buf) != bytes(expected):
            return False
    return True


async def _digest(partition, size, buf):
    """SHA-256 of the first `size` bytes of `partition`, as they are in the flash."""
    sha = hashlib.sha256()
    buf = memoryview(buf)
    for at in range(0, size, _PIECE):
        part = buf[: min(_PIECE, size - at)]
        partition.readblocks(at // _CHUNK, part, at % _CHUNK)
        sha.update(part)
        if at % (16 * _PIECE) == 0:
            await sleep_ms(0)
    return sha.digest()
