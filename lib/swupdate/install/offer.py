"""An envelope becomes an Offer: fetched, verified, judged. A phase."""

from port import const, phase, spent

from swupdate.install.obtain import Offer, Part

_PIECE = const(1024)
_ENVELOPE = const(4096)  # bytes; what is longer is not read to its end


async def check(job, must):
    """As swupdate.install.obtain.check."""
    envelope = await _envelope(job)
    manifest, digest = await _verified(job.trust, envelope)
    if must is None:
        return None
    running = job.slots.label(job.slots.running) or {}  # before the code that asks what it says
    damaged = await _damaged(job, running, digest)
    offer = _offer(manifest, digest)
    manifest = None
    offer.trust = job.trust.number
    offer.envelope = envelope if offer.part("trust") else None
    envelope = None
    return offer if _good(job, running, offer, must, damaged) else None


async def _envelope(job):
    """The envelope at the job's URL. The connection ends with it: its memory is needed for the signatures."""
    source = job.open(job.url)
    try:
        return await source.get(job.url, _ENVELOPE, job.buffers and job.buffers[0])
    finally:
        await source.close()


async def _verified(trust, envelope):
    with phase("swupdate.install.signatures") as signatures:
        found = await signatures.verified(envelope, trust.keys(), trust.threshold, "trusted", trust.revoked)
        spent(signatures)
        signatures = None
        return found


async def _damaged(job, running, digest):
    """Whether what runs is this release and not what it says: only when it is, it is up to date."""
    if running.get("manifest") != digest:
        return False
    buf = job.buffers[1] if job.buffers else bytearray(_PIECE)  # in the other one is the envelope
    with phase("swupdate.install.whole") as whole:
        good = await whole.holds(job.slots, job.slots.running, running, buf)
        spent(whole)
        whole = None
        return not good


def _good(job, running, offer, must, damaged):
    with phase("swupdate.install.policy") as policy:
        spent(policy)
        return policy.judge(job, running, offer, must, damaged)


def _offer(data, digest):
    """What the manifest in `data` offers, in objects that do not keep the code that has read it."""
    with phase("swupdate.install.manifest") as code:
        spent(code)
        return _made(code.Manifest(data), digest)


def _made(manifest, digest):
    offer = Offer()
    offer.version, offer.seq, offer.manifest = manifest.version, manifest.seq, digest
    offer.built, offer.expires = manifest.built, manifest.expires
    offer.parts = []
    for component in manifest.components:
        part = Part()
        part.half, part.size, part.digest = component.half, component.size, component.digest
        part.uri, part.table, part.table_uri = component.uri, component.table, component.table_uri
        part.forms, part.bytecode = component.forms, component.bytecode
        part.vendor, part.kind = component.vendor, component.kind
        part.etag = None
        offer.parts.append(part)
    return offer
