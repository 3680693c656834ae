"""What MicroPython lacks: ECDSA on P-256, the signatures of COSE and the certificates that are made with it.

Here is what stays in memory, HMAC-SHA256 and comparing secrets. Import what else you need: `crypto.p256`, `crypto.cose`.
"""

from hashlib import sha256

from port import const

_BLOCK = const(64)
_ONES = int.from_bytes(b"\1" * 64, "big")


def pads(key):
    """(inner, outer): what is hashed before anything else under `key` (RFC 2104), for `hashed`."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    number = int.from_bytes(bytes(key) + bytes(_BLOCK - len(key)), "big")
    return (number ^ 0x36 * _ONES).to_bytes(_BLOCK, "big"), (number ^ 0x5C * _ONES).to_bytes(_BLOCK, "big")


def hashed(padded, parts):
    """HMAC-SHA256 of `parts`, one after the other, under the key whose `pads` are given: 32 bytes."""
    inner = sha256(padded[0])
    for part in parts:
        inner.update(part)
    outer = sha256(padded[1])
    outer.update(inner.digest())
    return outer.digest()


def hmac(key, *parts):
    """HMAC-SHA256 of `parts` under `key`: 32 bytes."""
    return hashed(pads(key), parts)


def equal(a, b):
    """Whether two bytes-like values are equal, in a time that depends on their lengths alone, not on their content."""
    if len(a) != len(b):
        return False
    different = 0
    for i in range(len(a)):
        different |= a[i] ^ b[i]
    return different == 0
