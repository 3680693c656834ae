"""Signatures by ECDSA on P-256 are verified (FIPS 186-5 section 6.4.2): of public values only."""

from port import const

from crypto.curve import G, N, P, add, affine, double, inverse, last, last_anew, number, on_curve

_DIGITS = const(257)


def verify(public, digest, signature):
    """Whether `signature` (r and s, 64 bytes) over `digest` (32 bytes) is by the key `public` (x and y, 64 bytes).

    False for everything malformed: lengths, values out of range, a public key that is not on the curve. It blocks the
    loop: where one runs, use `verify_async`.
    """
    return last(_verify(public, digest, signature)) or False


async def verify_async(public, digest, signature):
    """As `verify`, and other tasks of the loop get their turn after every step."""
    return await last_anew(_verify, public, digest, signature) or False


def _verify(public, digest, signature):
    """Gives False many times, and last the result."""
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return
    x, y, r, s = number(public[:32]), number(public[32:]), number(signature[:32]), number(signature[32:])
    if not (0 < r < N and 0 < s < N and on_curve(x, y)):
        return
    # What a pair of digits adds, G's and the key's: affine points, whose sums cost two thirds of others'. The other four
    # pairs add their opposites.
    table = [None, (x, y, 1), _sum((x, P - y, 1)), G]
    yield False
    table.append(_sum((x, y, 1)))
    yield False
    s = inverse(s, N)
    pairs = _pairs(number(digest) * s % N, r * s % N)
    yield False
    point = None
    for i in range(_DIGITS - 1, -1, -1):
        point = double(point)
        at = pairs[i] - 4
        if at:
            found = table[abs(at)]
            if at < 0 and found:
                found = found[0], P - found[1], 1
            point = add(point, found)
        if i & 1:
            yield False
    if point is not None:
        # The affine x is x / z^2, and it may have been r or r + n (below p) before it was taken mod n.
        x, _y, z = point
        z = z * z % P
        yield r * z % P == x or r + N < P and (r + N) * z % P == x


def _sum(point):
    """G + `point`, affine; None for infinity."""
    point = add(point, G)
    if point is None:
        return None
    x, y = affine(point)
    return number(x.to_bytes(32, "big")), number(y.to_bytes(32, "big")), 1  # what was calculated has room to spare


def _pairs(u, v):
    """The joint sparse form of two factors (J. A. Solinas, 2001), the lowest digits first: bytes 3 * a + b + 4 of digits a
    and b, which are -1, 0 or 1. Half of the pairs are 0, 0, where a quarter of the pairs of bits are."""
    pairs = bytearray(_DIGITS)
    carry_u = carry_v = 0
    for i in range(_DIGITS):
        low_u, low_v = (u >> i & 7) + carry_u, (v >> i & 7) + carry_v
        a = _digit(low_u, low_v)
        b = _digit(low_v, low_u)
        # What is left of the bits that were looked at is their own, or one more.
        carry_u = (low_u - a >> 1 ^ u >> i + 1) & 1
        carry_v = (low_v - b >> 1 ^ v >> i + 1) & 1
        pairs[i] = 3 * a + b + 4
    return pairs


def _digit(low, other):
    """The digit of a factor that ends in the bits `low`, where the other ends in `other`."""
    if not low & 1:
        return 0
    digit = 2 - (low & 3)
    return -digit if low & 7 in (3, 5) and other & 3 == 2 else digit
