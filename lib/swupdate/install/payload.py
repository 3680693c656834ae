"""The payload as it is, chunk by chunk: while the flash takes one the next begins to come. A phase."""

from port import create_task

from swupdate.install.chunks import Chunks
from swupdate.install.writer import turn


async def bring(job, source, offer, part, begin, end, progress):
    """Fetch chunks `begin` to `end` (not included) of `part`, for which `source` was asked.

    Raises Fault or OSError.
    """
    with Chunks(job, offer, part, progress) as chunks:
        await _fetch(source, chunks, begin, end, job.buffers)


async def _fetch(source, chunks, begin, end, buffers):
    chunk, early = memoryview(buffers[0]), memoryview(buffers[1])
    ahead = None
    have = 0  # bytes of the next chunk that came while the flash was busy
    try:
        for index in range(begin, end):
            await source.readinto(chunk[have : chunks.size(index)])
            ahead = None
            have = min(len(early), chunks.size(index + 1)) if index + 1 < end else 0
            if have:
                ahead = create_task(source.readinto(early[:have]))
                await turn()
            await chunks.put(index, buffers[0])
            if ahead:
                await ahead
                chunk[:have] = early[:have]
    except BaseException:
        if ahead:  # it must have ended before the source is closed
            ahead.cancel()
            try:
                await ahead
            except BaseException:  # noqa: B036 - the first failure is the one that counts
                pass
        raise
