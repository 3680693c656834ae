"""The order in which a release comes into the other slot, each step a phase of its own. A phase."""

from port import phase

from swupdate.faults import Fault


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
    with phase("swupdate.install.tables") as tables:
        offer.clean = await tables.fetch(job.store, source, offer.parts, job.buffers[0])
        tables = None


def _begin(job):
    with phase("swupdate.install.first") as first:
        first.begin(job)


def _label(job, offer):
    with phase("swupdate.install.first") as first:
        first.label(job, offer)


def _write(job, offer, half, fetched):
    with phase("swupdate.install.first") as first:
        first.write(job, offer, half, fetched)


async def _prepare(job, offer, progress):
    running = job.slots.label(job.slots.running)  # before the code that asks what it says
    with phase("swupdate.install.local") as local:
        await local.prepare(job, running, offer, progress)
        local = None


async def _fetch(job, source, offer, part, last, progress):
    """Fetch what is missing of `part`, the cheapest way first; one that leads to nothing is left for the next."""
    while part.ways:
        try:
            await _windows(job, source, offer, part, last, progress)
            return
        except Fault as fault:
            if fault.cause not in ("invalid", "status") and not fault.status:  # the network's: tried again
                raise
        part.ways.pop(0)
    with phase("swupdate.install.payload") as payload:
        await payload.bring(job, source, offer, part, last, progress)
        payload = None


async def _windows(job, source, offer, part, last, progress):
    with phase("swupdate.install.windows") as windows:
        await windows.bring(job, source, offer, part, part.ways[0], last, progress)
        windows = None
