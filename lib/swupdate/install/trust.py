"""A newer trust store: fetched, read strictly, agreed to by its own keys, and kept until it is put in force. A phase."""

import hashlib

from cbor.decoder import DecodeError, decode
from port import const, phase

from swupdate.faults import Fault

_KEYS = const(8)
_SIGNATURES = const(3)  # the most that other releases can have: no threshold may be above it
_REVOKED = const(16)  # so many are remembered, to tell whoever still signs with them
_SEQUENCE = const(1 << 62)


async def obtain(job, offer, progress):
    """Have the trust store of `offer` (see swupdate.install.obtain) validated and kept in `job.store`.

    Its own keys must have signed it as well, as many as it asks for of others. Raises Fault or OSError.
    """
    part = offer.part("trust")
    source = job.open(job.url)
    try:
        data = await source.get(part.uri, part.size, job.buffers[1])  # in the other one is the envelope
    finally:
        await source.close()
    if len(data) != part.size or hashlib.sha256(data).digest() != part.digest:
        raise Fault("invalid", "the trust store is not the one that was signed")
    keys, threshold, floor = read(data, offer.seq)
    with phase("swupdate.install.signatures") as signatures:
        await signatures.verified(offer.envelope, keys, threshold, "the new trust store's")
    old = job.trust
    since = offer.seq
    if floor is None:  # that of the one before goes on
        since, floor = old.since, old.floor
    revoked = [kid for kid in list(old.keys()) + list(old.revoked) if kid not in keys]
    record = {
        "v": 1, "n": offer.seq, "keys": keys, "threshold": threshold, "since": since, "floor": floor,
        "revoked": revoked[:_REVOKED], "digest": part.digest, "manifest": offer.manifest, "built": offer.built,
    }  # fmt: skip
    with phase("swupdate.trust") as trust:
        trust.stage(job.store, record)
    progress(part.size, part.size)


def read(data, number):
    """(keys, threshold, sequence floor or None) of the trust store in `data`, which has this number. Raises Fault."""
    try:
        found = decode(data, strict=True)
    except DecodeError as error:
        raise _bad("it is malformed (%s)" % error)  # noqa: B904 - no `from` on MicroPython
    if not isinstance(found, dict):
        raise _bad("it is malformed")
    for key in found:
        if key not in ("v", "n", "keys", "threshold", "floor"):
            raise _bad("it has parts that this device does not know")
    if found.get("v") != 1:
        raise _bad("it is of another version of the format")
    if found.get("n") != number:
        raise _bad("its number is not that of its release")
    keys, threshold, floor = found.get("keys"), found.get("threshold"), found.get("floor")
    if not isinstance(keys, dict) or not 1 <= len(keys) <= _KEYS:
        raise _bad("it must have 1 to %d keys" % _KEYS)
    if not _is_number(threshold) or not 1 <= threshold <= min(_SIGNATURES, len(keys)):
        raise _bad("its threshold is not 1 to %d, or there are fewer keys" % _SIGNATURES)
    if "floor" in found and not (_is_number(floor) and 0 <= floor < _SEQUENCE):
        raise _bad("its sequence floor makes no sense")
    with phase("crypto.curve") as curve:
        for kid in keys:
            key = keys[kid]
            good = isinstance(key, bytes) and len(key) == 64 and kid == hashlib.sha256(key).digest()[:8]
            if not good or not curve.on_curve(curve.number(key[:32]), curve.number(key[32:])):
                raise _bad("it has a key that is none")
    return keys, threshold, floor


def _is_number(value):
    return isinstance(value, int) and value is not True and value is not False


def _bad(text):
    return Fault("invalid", "the trust store is refused: " + text)
