"""Who signed an envelope. A phase: what reads the envelope and what computes are never in memory together."""

from port import phase

from swupdate.faults import Fault


async def verified(job, envelope):
    """(manifest, its digest), both bytes, of an envelope that enough trusted keys have signed. Raises Fault "invalid"."""
    with phase("swupdate.install.manifest") as reader:
        data, digest, signatures = reader.split(envelope)
    keys = job.trust.keys()
    good = set()
    with phase("crypto.cose") as cose:
        for kid, protected, signature in signatures:
            key = keys.get(kid)
            # One signature a key counts, however many there are.
            if key and kid not in good and await cose.verify_sign1(key, protected, digest, signature):
                good.add(kid)
    if len({bytes(keys[kid]) for kid in good}) < max(1, job.trust.threshold):
        text = "the release is refused: %d valid signature(s) of trusted keys, %d needed"
        raise Fault("invalid", text % (len(good), job.trust.threshold))
    return data, digest[-32:]
