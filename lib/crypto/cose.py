"""COSE_Sign1 with ES256 (RFC 9052 section 4.2), payload detached, as SUIT signs.

The caller has decoded the CBOR already; the structure that is hashed is written here by hand, because it is three heads
and four strings.
"""

import hashlib

from crypto.p256 import verify

ES256 = -7


def _string(major, data):
    """CBOR head and content of a byte (2) or text (3) string below 64 KB."""
    size = len(data)
    if size < 24:
        head = bytes((major << 5 | size,))
    elif size < 256:
        head = bytes((major << 5 | 24, size))
    else:
        head = bytes((major << 5 | 25, size >> 8, size & 0xFF))
    return head + bytes(data)


def digest(protected, payload):
    """SHA-256 of the Sig_structure of a COSE_Sign1: `protected` header (bytes as signed) and `payload`, no further data."""
    sha = hashlib.sha256(b"\x84" + _string(3, b"Signature1") + _string(2, protected) + b"\x40")
    sha.update(_string(2, payload))
    return sha.digest()


async def verify_sign1(public, protected, payload, signature):
    """Whether `signature` (64 bytes) is that of `public` (64 bytes) over `payload` under the `protected` header."""
    return await verify(public, digest(protected, payload), signature)
