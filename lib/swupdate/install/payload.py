"""The payload as it is, chunk by chunk: the network fills one buffer while the flash takes the other. A phase."""

import asyncio

from swupdate.install.chunks import CHUNK, Chunks
from swupdate.install.writer import turn


async def bring(job, source, offer, part, last, progress):
    """Fetch what is missing of `part`, in as few ranges as there are gaps: `last`, its first chunk, or all but that.

    Raises Fault or OSError.
    """
    with Chunks(job, offer, part, progress) as chunks:
        index, count = (0, 1) if last else (1, chunks.count)
        while index < count:
            begin = index
            while index < count and chunks.missing[index]:
                index += 1
            if index > begin:
                await _fetch(source, chunks, begin, index, job.buffers)
            index += 1


async def _fetch(source, chunks, begin, end, buffers):
    """Fetch chunks `begin` to `end` (not included)."""
    part = chunks.part
    size = min(end * CHUNK, part.size) - begin * CHUNK
    part.etag = await source.start(part.uri, begin * CHUNK, size, part.etag)
    full, empty = buffers
    ahead = None
    try:
        await _fill(source, chunks, begin, full)
        for index in range(begin, end):
            ahead = None
            if index + 1 < end:
                ahead = asyncio.create_task(_fill(source, chunks, index + 1, empty))
                await turn()
            await chunks.put(index, full)
            if ahead:
                await ahead
            full, empty = empty, full
    except BaseException:
        if ahead:  # it must have ended before the source is closed
            ahead.cancel()
            try:
                await ahead
            except BaseException:  # noqa: B036 - the first failure is the one that counts
                pass
        raise


async def _fill(source, chunks, index, buf):
    await source.readinto(memoryview(buf)[: chunks.size(index)])
