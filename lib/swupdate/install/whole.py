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
    return await _whole(slots, slots.other, offer, buf)


async def damaged(slots, manifest, buf):
    """Whether the running slot is labelled with this digest of a manifest, and does not hold what its label says."""
    label = slots.label(slots.running)
    return bool(label) and bytes(label["manifest"]) == manifest and not await _whole(slots, slots.running, None, buf)


async def _whole(slots, slot, offer, buf):
    label = slots.label(slot)
    if not label or not arming.valid(slots, slot):
        return False
    if offer and (bytes(label["manifest"]) != offer.manifest or label.get("trust", 0) != offer.trust):
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
