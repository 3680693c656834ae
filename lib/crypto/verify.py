"""Signatures by ECDSA on P-256 are verified (FIPS 186-5 section 6.4.2): of public values only."""

from port import const

from crypto.curve import G, N, P, add, double, inverse, last, last_async, number, on_curve

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
    s = inverse(s, N)
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
