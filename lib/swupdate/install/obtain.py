"""The install phase: ask for a newer version, obtain and validate it, verify it once more before arming.

What reads and verifies the envelope, and what brings the payload into the flash, are phases of their own within this
one: they are never in memory together.
"""

from port import const, phase

from swupdate.faults import Fault

_PIECE = const(1024)
_ENVELOPE = const(4096)  # bytes; what is longer is not read to its end


class Offer:
    """A release that may be installed: `version`, `seq`, `manifest` (its digest), `built`, `parts`.

    `trust`: the number of the trust store that it was verified with; `envelope`: of a newer trust store, which its own
    keys must have signed as well. Holds copies: the code that read and verified the manifest has left memory before the
    payload comes in.
    """

    def __init__(self, manifest, trust, envelope):
        self.trust = trust
        self.version = manifest.version
        self.seq = manifest.seq
        self.manifest = manifest.digest
        self.built = manifest.built
        self.parts = [Part(component) for component in manifest.components]
        self.envelope = envelope if self.part("trust") else None
        self.clean = False  # see SlotWriter
        self.done, self.total = 0, sum(part.size for part in self.parts)

    def part(self, half):
        """The Part for `half` (or "trust"), or None when the release does not carry it."""
        for part in self.parts:
            if part.half == half:
                return part
        return None


class Part:
    """What a release carries, a half of a slot or a trust store: see swupdate.install.manifest.Component."""

    def __init__(self, component):
        self.half, self.size, self.digest = component.half, component.size, component.digest
        self.uri, self.table, self.table_uri = component.uri, component.table, component.table_uri
        self.forms = component.forms
        self.etag = None


async def check(job, must=False):
    """The Offer at the job's URL, or None when nothing is newer. Only the envelope is fetched. Raises Fault.

    `must` as in policy.judge; None: only the signatures are verified.
    """
    envelope = await _envelope(job)
    manifest, digest = await _verified(job.trust, envelope)
    if must is None:
        return None
    with phase("swupdate.install.whole") as whole:  # what runs is only up to date when it is what it says
        damaged = await whole.damaged(job.slots, digest, _buffer(job))
    with phase("swupdate.install.policy") as policy:
        manifest = policy.judge(job, manifest, digest, must, damaged)
        return Offer(manifest, job.trust.number, envelope) if manifest else None


async def _verified(trust, envelope):
    with phase("swupdate.install.signatures") as signatures:
        return await signatures.verified(envelope, trust.keys(), trust.threshold, "trusted", trust.revoked)


async def _envelope(job):
    """The envelope at the job's URL. The connection ends with it: its memory is needed for the signatures."""
    source = job.open(job.url)
    try:
        return await source.get(job.url, _ENVELOPE)
    finally:
        await source.close()


async def prove(job):
    """Fetch the envelope at the job's URL and verify its signatures: proof that this version can be updated again.

    Raises Fault.
    """
    await check(job, None)


async def obtain(job, progress):
    """Have the release at the job's URL in the other slot, whole and validated: its Offer, or None (nothing newer).

    A trust store is kept in `job.store` instead.
    `progress(done, total)` hears of bytes. What an earlier attempt left in the flash is kept where the table of chunks
    says that it is right, so nothing is fetched twice. Raises Fault, and then the slot does not look valid.
    """
    if not job.slots.confirmed:
        # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
        raise Fault("install", "the running version is still on trial")
    job.reserve()
    try:
        offer = await check(job, True)
        if offer and offer.envelope:
            with phase("swupdate.install.trust") as trust:
                await trust.obtain(job, offer, progress)
        elif offer and not await _whole(job, offer):
            await _write(job, offer, progress)
            if not await _whole(job, offer):
                with phase("swupdate.install.writer") as writer:
                    writer.SlotWriter(job.slots, job.buffers).begin()
                raise Fault("invalid", "what was written is not what was signed")
    except OSError as error:  # of the flash or the file system: a source raises Fault
        raise _flash(error)
    return offer


async def _write(job, offer, progress):
    """Bring the payload into the other slot, over a connection of its own: the first sectors last."""
    source = job.open(job.url)
    try:
        await _tables(job, source, offer)
        await _prepare(job, offer, progress)
        if getattr(job, "found", None):
            job.found(offer.done)
        for last in (False, True):
            if last:
                with phase("swupdate.install.local") as local:
                    local.label(job, offer)
            for half in ("app", "fw"):
                part = offer.part(half)
                missing = part.missing[:1] if part and last else part.missing[1:] if part else b""
                if missing.count(b"\x01"):
                    await _bring(job, source, offer, part, last, progress)
                elif last:
                    with phase("swupdate.install.local") as local:
                        local.first(job, offer, half)
    finally:
        await source.close()
    for part in offer.parts:
        job.store.remove("chunks." + part.half)


async def _tables(job, source, offer):
    with phase("swupdate.install.tables") as tables:
        offer.clean = await tables.fetch(job.store, source, offer.parts, job.buffers[0])


async def _prepare(job, offer, progress):
    with phase("swupdate.install.local") as local:
        await local.prepare(job, offer, progress)


async def _bring(job, source, offer, part, last, progress):
    """Fetch what is missing of `part`, the cheapest way first; one that leads to nothing is left for the next."""
    while len(part.ways) > 1:
        try:
            with phase("swupdate.install.windows") as windows:
                await windows.bring(job, source, offer, part, part.ways[0], last, progress)
            return
        except Fault as fault:
            if fault.cause not in ("invalid", "status") and not fault.status:  # the network's: tried again
                raise
        part.ways.pop(0)
    with phase("swupdate.install.payload") as payload:
        await payload.bring(job, source, offer, part, last, progress)


async def verify(job):
    """Read the other slot once more, against its label. Raises Fault."""
    try:
        good = await _whole(job, None)
    except OSError as error:
        raise _flash(error)
    if not good:
        raise Fault("invalid", "what is in the other slot is not what was validated")


def _flash(error):
    return Fault("flash", "the flash could not be read or written: %s" % error)


async def _whole(job, offer):
    with phase("swupdate.install.whole") as whole:
        return await whole.whole(job.slots, offer, _buffer(job))


def _buffer(job):
    return job.buffers[0] if job.buffers else bytearray(_PIECE)
