"""What of a release is in the flash already: in the other slot, or in the running one, from where it is copied. A phase."""

from port import const, sleep_ms

from swupdate.install.chunks import CHUNK, Chunks

_MISSING = const(1)
_COPY = const(2)  # the first chunk, which is written last: it comes from the running slot
_RUN = const(8)  # chunks of a window (swupdate.install.manifest)


async def look(job, running, offer, part, progress):
    """Bring into the other slot what is in the flash already of `part`; `running`: what the label of the running slot says
    of this half, or None.

    Sets `missing` of the part (a byte a chunk) and `ways`, how the rest may come: (uri, lengths of windows, bytes of the
    base), the cheapest first. Raises Fault.
    """
    part.missing = bytearray((part.size + CHUNK - 1) // CHUNK)
    most = offer.done + part.size
    with Chunks(job, offer, part, progress) as chunks:
        await _look(job.slots, chunks, job.buffers[0])
    most -= offer.done  # bytes that are missing
    size, digest = running or (0, None)
    found = []
    for uri, lengths, base in part.forms:
        if not base or base == digest:  # a delta is for a device that runs its base
            cost = 0
            for at in range(0, len(lengths), 2):
                begin = at // 2 * _RUN - _RUN + 1
                if part.missing[max(begin, 0) : begin + _RUN].count(b"\x01"):
                    cost += lengths[at] << 8 | lengths[at + 1]
            if cost < most:
                found.append((cost, uri, lengths, size if base else 0))
    found.sort(key=lambda way: way[0])
    part.ways = [way[1:] for way in found]


async def _look(slots, chunks, buf):
    """Find out what is missing; what stands in the running slot at the same place is copied."""
    half = chunks.part.half
    running = slots.partition(slots.running, half)
    for index in range(chunks.count):
        if index:
            chunks.writer.read(half, index, buf)
        if index and chunks.matches(index, buf):
            chunks.there(index)
        else:
            running.readblocks(index, buf)
            if not chunks.matches(index, buf):
                chunks.missing[index] = _MISSING
            elif index:
                await chunks.writer.write(half, index, buf)
                chunks.there(index)
            else:
                chunks.there(0)
                chunks.missing[0] = _COPY
        await sleep_ms(0)
