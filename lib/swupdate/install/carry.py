"""The half of a slot that a release does not bring, carried over from the running one. A phase."""

import hashlib

from port import const, sleep_ms

from swupdate.faults import Fault
from swupdate.install.writer import SlotWriter

_CHUNK = const(4096)


async def copy(job, said, clean, half):
    """Copy `half` of the running slot, without its first sector. Raises Fault.

    `said`: its (size, digest) by the slot's label, or None; `clean`: see swupdate.install.writer.
    """
    if not said:
        raise Fault("invalid", "the release is only a part, and the running slot does not say what it is")
    size, digest = said
    writer = SlotWriter(job.slots, clean)
    source = job.slots.partition(job.slots.running, half)
    sha = hashlib.sha256()
    buf = job.buffers[0]
    view = memoryview(buf)
    for index in range((size + _CHUNK - 1) // _CHUNK):
        source.readblocks(index, buf)
        sha.update(view[: min(_CHUNK, size - index * _CHUNK)])
        if index and not writer.holds(half, index, view):
            await writer.write(half, index, buf)
        await sleep_ms(0)
    if sha.digest() != digest:
        raise Fault("flash", "the running %s is damaged: a release with both halves is needed" % half)
