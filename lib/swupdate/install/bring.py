"""The order in which a release comes into the other slot, each step a phase of its own. A phase.

What is asked of the server is asked here, between those steps: what asks and what takes the answer are never in memory
together.
"""

from port import const, phase, spent

from swupdate.faults import Fault

_CHUNK = const(4096)
_ENTRY = const(16)  # bytes of a table for each chunk
_RUN = const(8)  # chunks of a window (swupdate.install.manifest); the first one has one


async def write(job, offer, progress):
    """Bring the payload into the other slot, over a connection of its own: the first sectors last.

    Raises Fault or OSError.
    """
    offer.done, offer.total = 0, sum(part.size for part in offer.parts)
    source = job.open(job.url)
    try:
        await _tables(job, source, offer)
        source.rest()
        _begin(job)
        await _prepare(job, offer, progress)
        if getattr(job, "found", None):
            job.found(offer.done)
        for half in ("app", "fw"):
            part = offer.part(half)
            if part and part.missing[1:].count(b"\x01"):
                await _fetch(job, source, offer, part, False, progress)
        _label(job, offer)
        for half in ("app", "fw"):
            part = offer.part(half)
            fetched = part and part.missing[0] == 1
            if fetched:
                await _fetch(job, source, offer, part, True, progress)
            _write(job, offer, half, fetched)
    finally:
        await source.close()
    for part in offer.parts:
        job.store.remove("chunks." + part.half)


# Each in a function of its own: the name behind `as` would keep the phase in memory for the rest of `write`. A coroutine
# lets go of it itself: when it has ended its frame may be found for a while yet.


async def _tables(job, source, offer):
    for part in _lacking(job, offer):
        await source.start(part.table_uri, 0, (part.size + _CHUNK - 1) // _CHUNK * _ENTRY, None)
        with phase("swupdate.install.tables") as tables:
            await tables.fetch(job.store, source, part, job.buffers[0])
            spent(tables)
            tables = None


def _lacking(job, offer):
    with phase("swupdate.install.tables") as tables:
        offer.clean, lacking = tables.lacking(job.store, offer.parts, job.buffers[0])
    return lacking


def _begin(job):
    with phase("swupdate.install.first") as first:
        spent(first)
        first.begin(job)


def _label(job, offer):
    running = job.slots.label(job.slots.running)  # before the code that asks what it says
    with phase("swupdate.install.first") as first:
        spent(first)
        first.label(job, offer, running)


def _write(job, offer, half, fetched):
    with phase("swupdate.install.first") as first:
        spent(first)
        first.write(job, offer, half, fetched)


async def _prepare(job, offer, progress):
    running = job.slots.label(job.slots.running)
    for half in ("app", "fw"):
        part = offer.part(half)
        if part:
            with phase("swupdate.install.local") as local:
                await local.look(job, running and running[half], offer, part, progress)
                spent(local)
                local = None
        else:
            with phase("swupdate.install.carry") as carry:
                await carry.copy(job, running and running[half], offer.clean, half)
                spent(carry)
                carry = None


async def _fetch(job, source, offer, part, last, progress):
    """Fetch what is missing of `part`, the cheapest way first; one that leads to nothing is left for the next.

    `last`: its first chunk, or all but that.
    """
    while part.ways:
        try:
            await _windows(job, source, offer, part, last, progress)
            return
        except Fault as fault:
            if fault.cause not in ("invalid", "status") and not fault.status:  # the network's: tried again
                raise
        part.ways.pop(0)
    index, count = (0, 1) if last else (1, len(part.missing))
    while index < count:  # in as few ranges as there are gaps
        begin = index
        while index < count and part.missing[index]:
            index += 1
        if index > begin:
            at = begin * _CHUNK
            part.etag = await source.start(part.uri, at, min(index * _CHUNK, part.size) - at, part.etag)
            with phase("swupdate.install.payload") as payload:
                await payload.bring(job, source, offer, part, begin, index, progress)
                spent(payload)
                payload = None
        index += 1


async def _windows(job, source, offer, part, last, progress):
    """The same in windows: those that follow each other are asked for together."""
    uri, lengths, _size = part.ways[0]
    at = window = 0
    while 2 * window < len(lengths):
        begin, end = window, at
        while 2 * window < len(lengths) and needed(part.missing, window, last):
            end += lengths[2 * window] << 8 | lengths[2 * window + 1]
            window += 1
        if window == begin:
            end += lengths[2 * window] << 8 | lengths[2 * window + 1]
            window += 1
        else:
            if end > at:
                await source.start(uri, at, end - at, None)
            with phase("swupdate.install.windows") as windows:
                await windows.bring(job, source, offer, part, begin, window, progress)
                spent(windows)
                windows = None
        at = end


def needed(missing, window, last):
    """Whether a chunk of `window` is missing; the first window counts `last`, and no other then."""
    if last or not window:
        return last and not window
    begin = window * _RUN - _RUN + 1
    return missing[begin : begin + _RUN].count(b"\x01") > 0
