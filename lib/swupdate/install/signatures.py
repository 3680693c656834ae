"""Who signed an envelope. A phase: what reads the envelope and what computes are never in memory together."""

from port import phase

from swupdate.faults import Fault


async def verified(job, envelope):
    """(manifest, its digest), both bytes, of an envelope that enough trusted keys have signed. Raises Fault "invalid"."""
    data, digest, signatures = _split(envelope)
    keys = job.trust.keys()
    good = await _good(keys, digest, signatures)
    if len({bytes(keys[kid]) for kid in good}) < max(1, job.trust.threshold):
        text = "the release is refused: %d valid signature(s) of trusted keys, %d needed"
        raise Fault("invalid", text % (len(good), job.trust.threshold))
    return data, digest[-32:]


def _split(envelope):
    with phase("swupdate.install.manifest") as manifest:
        return manifest.split(envelope)


async def _good(keys, digest, signatures):
    """The trusted keys whose signatures are valid, by their kids."""
    good = set()
    with phase("crypto.cose") as cose:
        for kid, protected, signature in signatures:
            key = keys.get(kid)
            # One signature a key counts, however many there are.
            if key and kid not in good and await cose.verify_sign1(key, protected, digest, signature):
                good.add(kid)
    return good
