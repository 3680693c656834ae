"""Who signed an envelope. A phase: what reads the envelope and what computes are never in memory together."""

from port import phase, spent

from swupdate.faults import Fault


async def verified(envelope, keys, threshold, whose="trusted", revoked=()):
    """(manifest, a memoryview, its digest) of an envelope that `threshold` of `keys` (kid -> 64 bytes) have signed.

    `whose` keys these are, in words; `revoked`: kids of keys that were trusted once. Raises Fault "invalid".
    """
    data, digest, signatures = _split(envelope)
    good = await _good(keys, digest, signatures)
    count = len({bytes(keys[kid]) for kid in good})
    threshold = max(1, threshold)
    if count < threshold:
        text = "the release is refused: %d valid signature(s) of %s keys, %d needed" % (count, whose, threshold)
        for signature in signatures:
            if signature[0] in revoked:
                text += "; it names a key that was revoked"
                break
        raise Fault("invalid", text)
    return data, digest[-32:]


def _split(envelope):
    with phase("swupdate.install.envelope") as code:
        spent(code)
        return code.split(envelope)


async def _good(keys, digest, signatures):
    """The keys whose signatures are valid, by their kids."""
    good = set()
    with phase("crypto.cose") as cose:
        for kid, protected, signature in signatures:
            key = keys.get(kid)
            # One signature a key counts, however many there are.
            if key and kid not in good and await cose.verify_sign1(key, protected, digest, signature):
                good.add(kid)
        spent(cose)
        cose = None  # see swupdate.install.bring
    return good
