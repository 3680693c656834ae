"""ECDSA on P-256 with digests of 32 bytes (FIPS 186-5 section 6.4, RFC 6979).

A verification handles public values only. A signature is made with a long-term key in a time that depends on it
(docs/security.md).
"""

from port import const

from crypto import hmac
from crypto.p256 import G, N, P, add, affine, double, last, last_async, number, on_curve, times_g

_BITS = const(256)


def verify(public, digest, signature):
    """Whether `signature` (r and s, 64 bytes) over `digest` (32 bytes) is by the key `public` (x and y, 64 bytes).

    False for everything malformed: lengths, values out of range, a public key that is not on the curve. It blocks the
    loop: where one runs, use `verify_async`.
    """
    return last(_verify(public, digest, signature)) or False


async def verify_async(public, digest, signature):
    """As `verify`, and other tasks of the loop get their turn after every step."""
    return await last_async(_verify(public, digest, signature)) or False


def sign(private, digest):
    """The signature (r and s, 64 bytes) of the key `private` (32 bytes) over `digest` (32 bytes)."""
    return last(_sign(private, digest))


async def sign_async(private, digest):
    """As `sign`, and other tasks of the loop get their turn after every step."""
    return await last_async(_sign(private, digest))


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
    key = bytes(32)
    value = b"\1" * 32
    for separator in (b"\0", b"\1"):
        key = hmac(key, value, separator, seed)
        value = hmac(key, value)
    while True:
        value = hmac(key, value)
        yield value
        key = hmac(key, value, b"\0")
        value = hmac(key, value)


def _verify(public, digest, signature):
    """Gives False many times, and last the result."""
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return
    x, y, r, s = number(public[:32]), number(public[32:]), number(signature[:32]), number(signature[32:])
    if not (0 < r < N and 0 < s < N and on_curve(x, y)):
        return
    key = x, y, 1
    # i * G + j * key at index 4 * i + j: two bits of both factors at once (Shamir's trick).
    table = [None] * 16
    for i in range(1, 16):
        table[i] = add(table[i - 1], key) if i & 3 else add(table[i - 4], G)
        yield False
    s = pow(s, N - 2, N)
    u, v = number(digest) * s % N, r * s % N
    yield False
    point = None
    for shift in range(_BITS - 2, -2, -2):
        point = add(double(double(point)), table[(u >> shift & 3) << 2 | v >> shift & 3])
        yield False
    if point is not None:
        # The affine x is x / z^2, and it may have been r or r + n (below p) before it was taken mod n.
        x, _y, z = point
        z = z * z % P
        yield r * z % P == x or r + N < P and (r + N) * z % P == x
