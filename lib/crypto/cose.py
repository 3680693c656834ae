"""COSE_Sign1 with ES256 (RFC 9052 section 4.2, RFC 9053 section 2.1), payload detached, as SUIT signs.

The caller has decoded the CBOR already; the structure that is hashed is written here by hand, because it is one array
of four strings.
"""

import hashlib

from crypto.verify import verify_async

# The protected header {1: -7} (alg: ES256) in its only deterministic form.
ES256 = b"\xa1\x01\x26"


def _string(major, data):
    """CBOR head and content of a byte (2) or text (3) string below 64 KB (RFC 8949 section 3)."""
    size = len(data)
    if size > 0xFFFF:
        raise ValueError("too long to be signed data")
    if size < 24:
        head = bytes((major << 5 | size,))
    elif size < 256:
        head = bytes((major << 5 | 24, size))
    else:
        head = bytes((major << 5 | 25, size >> 8, size & 0xFF))
    return head + bytes(data)


def sig_structure(protected, payload, external_aad=b""):
    """The bytes that are hashed and signed, Sig_structure of RFC 9052 section 4.4.

    `protected` is the content of the protected header's byte string as received, `payload` the detached content,
    `external_aad` what else both sides agree on. Raises ValueError when one has 64 KB or more.
    """
    return b"\x84" + _string(3, b"Signature1") + _string(2, protected) + _string(2, external_aad) + _string(2, payload)


async def verify_sign1(public, protected, payload, signature, external_aad=b""):
    """Whether `signature` (r and s, 64 bytes) is that of the key `public` (x and y, 64 bytes) over the rest.

    False for what is malformed and for every algorithm but ES256. Raises ValueError as `sig_structure` does.
    """
    if bytes(protected) != ES256:
        return False
    digest = hashlib.sha256(sig_structure(protected, payload, external_aad)).digest()
    return await verify_async(public, digest, signature)
