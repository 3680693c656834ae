"""An envelope becomes an Offer: fetched, verified, judged. A phase."""

from port import const, phase

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
    with phase("swupdate.install.policy") as policy:
        manifest = policy.judge(job, running, manifest, digest, must, damaged)
        policy = None  # see swupdate.install.bring
        return _offer(manifest, job.trust.number, envelope) if manifest else None


async def _envelope(job):
    """The envelope at the job's URL. The connection ends with it: its memory is needed for the signatures."""
    source = job.open(job.url)
    try:
        return await source.get(job.url, _ENVELOPE)
    finally:
        await source.close()


async def _verified(trust, envelope):
    with phase("swupdate.install.signatures") as signatures:
        found = await signatures.verified(envelope, trust.keys(), trust.threshold, "trusted", trust.revoked)
        signatures = None
        return found


async def _damaged(job, running, digest):
    """Whether what runs is this release and not what it says: only when it is, it is up to date."""
    if running.get("manifest") != digest:
        return False
    buf = job.buffers[0] if job.buffers else bytearray(_PIECE)
    with phase("swupdate.install.whole") as whole:
        good = await whole.holds(job.slots, job.slots.running, running, buf)
        whole = None
        return not good


def _offer(manifest, trust, envelope):
    offer = Offer()
    offer.trust = trust
    offer.version, offer.seq, offer.manifest = manifest.version, manifest.seq, manifest.digest
    offer.built, offer.expires = manifest.built, manifest.expires
    offer.parts = []
    for component in manifest.components:
        part = Part()
        part.half, part.size, part.digest = component.half, component.size, component.digest
        part.uri, part.table, part.table_uri = component.uri, component.table, component.table_uri
        part.forms = component.forms
        part.etag = None
        offer.parts.append(part)
    offer.envelope = envelope if offer.part("trust") else None
    return offer
