"""What MicroPython lacks: ECDSA on P-256, the signatures of COSE and the certificates that are made with it.

Here is what stays in memory, HMAC-SHA256 and comparing secrets. Import what else you need: `crypto.p256`, `crypto.cose`.
"""

from hashlib import sha256

from port import const

_BLOCK = const(64)
_OTHER = int.from_bytes(b"\x6a" * 64, "big")  # 0x36 ^ 0x5C: how the block of the outer hash differs from the inner's


def padded(key):
    """The block that is hashed before anything else under `key` (RFC 2104), for `hashed`."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    block = int.from_bytes(key, "big") << 8 * (_BLOCK - len(key)) ^ int.from_bytes(b"\x36" * _BLOCK, "big")
    return block.to_bytes(_BLOCK, "big")


def hashed(inner, *parts):
    """HMAC-SHA256 of `parts`, one after the other, under the key that was `padded`: 32 bytes."""
    within = sha256(inner)
    for part in parts:
        within.update(part)
    part = sha256((int.from_bytes(inner, "big") ^ _OTHER).to_bytes(_BLOCK, "big"))
    part.update(within.digest())
    return part.digest()


def equal(a, b):
    """Whether two bytes-like values are equal, in a time that depends on their lengths alone, not on their content."""
    if len(a) != len(b):
        return False
    different = 0
    for i in range(len(a)):
        different |= a[i] ^ b[i]
    return different == 0
