"""The curve P-256 (SP 800-186), and key agreement on it (SP 800-56A section 5.7.1.2).

The arithmetic is that of Python's integers: its time depends on the values. Ephemeral keys contain what that tells
(docs/security.md). One multiplication takes about half a second on an ESP32: the `_async` forms let the loop run after each
of their steps.
"""

from port import const, phase, sleep_ms

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
_SPACE = const(64)  # bits between two teeth of the comb, which has four
_SMALLEST = const(16)  # wNAF of width 5: odd digits below this


def on_curve(x, y):
    """Whether (x, y) is a point of the curve, coordinates in range. Infinity has no such form."""
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - _B) % P == 0


def key_pair(random):
    """A new key: (private 32 bytes, public 64 bytes: x and y). `random(n)` gives n secret bytes."""
    return last(_key_pair(random))


async def key_pair_async(random):
    """As `key_pair`, and other tasks of the loop get their turn after every step."""
    return await last_async(_key_pair(random))


def agree(private, public):
    """The shared secret (32 bytes, the x coordinate) of a private key and another's public one (64 bytes).

    Raises ValueError when either is none: the point is not on the curve, or the number not in 1 to n - 1.
    """
    return last(_agree(private, public))


async def agree_async(private, public):
    """As `agree`, and other tasks of the loop get their turn after every step."""
    return await last_async(_agree(private, public))


def last(steps):
    """The last thing that `steps` gives: its result."""
    result = None
    for result in steps:  # noqa: B007
        pass
    return result


async def last_async(steps):
    """As `last`, and the loop runs after every step."""
    result = None
    for result in steps:  # noqa: B007
        await sleep_ms(0)
    return result


def _key_pair(random):
    while True:
        private = random(32)
        if 0 < number(private) < N:
            break
    for point in times_g(number(private)):  # noqa: B007
        yield
    x, y = affine(point)
    yield private, x.to_bytes(32, "big") + y.to_bytes(32, "big")


def _agree(private, public):
    factor = number(private)
    if len(public) != 64 or not 0 < factor < N:
        raise ValueError("not a key")
    point = number(public[:32]), number(public[32:]), 1
    if not on_curve(point[0], point[1]):
        raise ValueError("not a point of the curve")
    for found in times(factor, point):  # noqa: B007
        yield
    yield affine(found)[0].to_bytes(32, "big")


def number(data):
    """An integer from its bytes, the highest first."""
    return int.from_bytes(data, "big")


def affine(point):
    """(x, y) of a point that is not infinity."""
    x, y, z = point
    z = pow(z, P - 2, P)
    zz = z * z % P
    return x * zz % P, y * zz * z % P


def times_g(factor):
    """factor * G for 0 < factor < n, in steps of which the last gives the point (a comb, HAC 14.117)."""
    with phase("crypto.comb") as comb:  # who only verifies a signature never loads it
        points = comb.POINTS
    point = None
    for i in range(_SPACE - 1, -1, -1):
        tooth = (
            factor >> i & 1 | (factor >> i + 64 & 1) << 1 | (factor >> i + 128 & 1) << 2 | (factor >> i + 192 & 1) << 3
        )
        point = double(point)
        if tooth:
            at = 64 * tooth - 64
            point = add(point, (number(points[at : at + 32]), number(points[at + 32 : at + 64]), 1))
        yield point


def times(factor, point):
    """factor * point for 0 < factor < n, in steps of which the last gives the point (wNAF, HAC 14.142)."""
    twice = double(point)
    odd = [point]
    for _ in range(_SMALLEST // 2 - 1):
        odd.append(add(odd[-1], twice))
        yield
    digits = bytearray()
    while factor:
        digit = 0
        if factor & 1:
            digit = factor & 31
            factor -= digit if digit < _SMALLEST else digit - 32
        digits.append(digit)
        factor >>= 1
    result = None
    for i in range(len(digits) - 1, -1, -1):
        result = double(result)
        digit = digits[i]
        if digit:
            if digit < _SMALLEST:
                result = add(result, odd[digit // 2])
            else:
                x, y, z = odd[(32 - digit) // 2]
                result = add(result, (x, P - y, z))
        if i & 3 == 0:
            yield result


# Points in Jacobian coordinates (x, y, z), standing for (x / z^2, y / z^3); None is infinity.


def double(point):
    """2 * point (for a = -3)."""
    if point is None:
        return None
    x, y, z = point
    zz = z * z % P
    yy = y * y % P
    beta = x * yy % P
    alpha = 3 * (x - zz) * (x + zz) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % P, 2 * y * z % P


def add(a, b):
    """a + b."""
    if a is None:
        return b
    if b is None:
        return a
    x1, y1, z1 = a
    x2, y2, z2 = b
    zz1 = z1 * z1 % P
    if z2 == 1:
        u, s = x1, y1
    else:
        zz2 = z2 * z2 % P
        u = x1 * zz2 % P
        s = y1 * zz2 * z2 % P
    h = (x2 * zz1 - u) % P
    r = (y2 * zz1 * z1 - s) % P
    if h == 0:
        return double(a) if r == 0 else None
    hh = h * h % P
    hhh = h * hh % P
    v = u * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s * hhh) % P, h * z1 * z2 % P
