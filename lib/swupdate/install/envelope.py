"""A release's envelope in Fargo's SUIT profile, read strictly: what it holds, and who signed it. A phase.

What the manifest in it says: see swupdate.install.manifest, which is never in memory with this.
"""

import hashlib

from cbor.decoder import Tag
from port import const

from swupdate.install.strict import MALFORMED, UNKNOWN, bad, decoded, of, sha_256

ENVELOPE_LIMIT = const(4096)
_ENVELOPE_TAG = const(107)
_SIGN1_TAG = const(18)
_ES256 = b"\xa1\x01\x26"  # the protected header {1: -7}
_SIGNATURES = const(3)
_SIGNATURES_TRUST = const(6)  # of a trust store: by keys of the old one, and by keys of the new one
_TRUST = b"\x81\x81\x45trust"  # its list of components; whoever has it stand elsewhere gains three signatures
_AUTHENTICATION = const(2)
_MANIFEST = const(3)


def split(envelope):
    """(manifest, SUIT_Digest, signatures) of an envelope; signatures: list of (kid, protected, signature). All are bytes,
    but the manifest a memoryview of `envelope`.

    The manifest's digest is checked here; who signed it is for the policy. Raises Fault "invalid".
    """
    if len(envelope) > ENVELOPE_LIMIT:
        raise bad("it is larger than %d bytes" % ENVELOPE_LIMIT)
    outer = _tagged(envelope, _ENVELOPE_TAG, dict)
    if outer is None:
        raise bad("it is no SUIT envelope")
    if len(outer) != 2:
        raise bad(UNKNOWN)
    manifest = of(outer, _MANIFEST, memoryview)
    blocks = decoded(of(outer, _AUTHENTICATION, memoryview))
    most = _SIGNATURES_TRUST if _of_trust(manifest) else _SIGNATURES
    if not isinstance(blocks, list) or not 2 <= len(blocks) <= 1 + most:
        raise bad("it must have 1 to %d signatures" % most)
    for block in blocks:
        if not isinstance(block, memoryview):
            raise bad(MALFORMED)
    if digest(manifest) != sha_256(blocks[0]):
        raise bad("its manifest was changed")
    return manifest, bytes(blocks[0]), [signature(block) for block in blocks[1:]]


def _of_trust(manifest):
    """Whether there is the list of components of a trust store somewhere in it."""
    for at in range(len(manifest) - len(_TRUST) + 1):
        if manifest[at] == _TRUST[0] and manifest[at : at + len(_TRUST)] == _TRUST:
            return True
    return False


def digest(manifest):
    """SHA-256 of the manifest as it stands in the envelope, in its byte string."""
    size = len(manifest)
    if size > 255:
        head = bytes((0x59, size >> 8, size & 0xFF))
    else:
        head = bytes((0x58, size)) if size > 23 else bytes((0x40 | size,))
    sha = hashlib.sha256(head)
    sha.update(manifest)  # not joined: it may be 4 KB
    return sha.digest()


def signature(block):
    """(kid, protected header, signature) of an encoded COSE_Sign1 with ES256. Raises Fault "invalid"."""
    sign1 = _tagged(block, _SIGN1_TAG, list)
    if sign1 and len(sign1) == 4:
        protected, unprotected, payload, both = sign1
        kid = unprotected.get(4) if isinstance(unprotected, dict) and len(unprotected) == 1 else None
        good = protected == _ES256 and payload is None and isinstance(kid, memoryview) and isinstance(both, memoryview)
        if good and len(both) == 64:
            return bytes(kid), bytes(protected), bytes(both)
    raise bad("a signature is not of the form that this device knows (ES256)")


def _tagged(data, number, kind):
    """The value of the tag `number` that `data` holds, or None when it is not that, or not of `kind`."""
    found = decoded(data)
    if isinstance(found, Tag) and found.number == number and isinstance(found.value, kind):
        return found.value
    return None
