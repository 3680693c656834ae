"""ECDSA on P-256 with digests of 32 bytes (FIPS 186-5 section 6.4, RFC 6979): how they are signed; `crypto.verify` verifies.

A signature is made with a long-term key in a time that depends on it (docs/security.md).
"""

from crypto import hashed, padded
from crypto.curve import N, affine, last, last_anew, number
from crypto.p256 import times_g


def sign(private, digest):
    """The signature (r and s, 64 bytes) of the key `private` (32 bytes) over `digest` (32 bytes)."""
    return last(_sign(private, digest))


async def sign_async(private, digest):
    """As `sign`, and other tasks of the loop get their turn after every step."""
    return await last_anew(_sign, private, digest)


def _sign(private, digest):
    d = number(private)
    h = number(digest)
    if not 0 < d < N:
        raise ValueError("not a key")
    for nonce in nonces(private, digest):
        k = number(nonce)
        if not 0 < k < N:
            continue
        for point in times_g(k):  # noqa: B007
            yield
        r = affine(point)[0] % N
        s = pow(k, N - 2, N) * (h + r * d) % N
        if r and s:
            yield r.to_bytes(32, "big") + s.to_bytes(32, "big")
            return


def nonces(private, digest):
    """The candidates of RFC 6979 section 3.2, for this curve and SHA-256."""
    seed = private + (number(digest) % N).to_bytes(32, "big")
    key = padded(bytes(32))
    value = b"\1" * 32
    for separator in (b"\0", b"\1"):
        key = padded(hashed(key, value, separator, seed))
        value = hashed(key, value)
    while True:
        value = hashed(key, value)
        yield value
        key = padded(hashed(key, value, b"\0"))
        value = hashed(key, value)
