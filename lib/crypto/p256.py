"""ECDSA verification on the curve P-256 (FIPS 186-5 section 6.4.2, SEC 1 section 4.1.4).

Only public values are handled here, so nothing needs to take constant time. One verification takes about a second on
an ESP32: `verify_async` lets the loop run after each of its 144 steps.
"""

from port import const, sleep_ms

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
_BITS = const(256)


def on_curve(x, y):
    """Whether (x, y) is a point of the curve, coordinates in range. Infinity has no such form."""
    return 0 <= x < _P and 0 <= y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


def verify(public, digest, signature):
    """Whether `signature` (r and s, 64 bytes) over `digest` (32 bytes) is by the key `public` (x and y, 64 bytes).

    False for everything malformed: lengths, values out of range, a public key that is not on the curve. It blocks the
    loop: where one runs, use `verify_async`.
    """
    result = False
    for result in _steps(public, digest, signature):  # noqa: B007 - the last one counts
        pass
    return result


async def verify_async(public, digest, signature):
    """As `verify`, and other tasks of the loop get their turn after every step."""
    result = False
    for result in _steps(public, digest, signature):  # noqa: B007
        await sleep_ms(0)
    return result


def _steps(public, digest, signature):
    """The verification in steps of a few milliseconds on an ESP32: yields False many times, and last the result."""
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return
    x, y, r, s = _number(public[:32]), _number(public[32:]), _number(signature[:32]), _number(signature[32:])
    if not (0 < r < _N and 0 < s < _N and on_curve(x, y)):
        return
    key = x, y, 1
    # i * G + j * key at index 4 * i + j: two bits of both factors at once (Shamir's trick).
    table = [None] * 16
    for i in range(1, 16):
        table[i] = _add(table[i - 1], key) if i & 3 else _add(table[i - 4], _G)
        yield False
    s = _inverse(s)
    u, v = _number(digest) * s % _N, r * s % _N
    yield False
    point = None
    for shift in range(_BITS - 2, -2, -2):
        point = _add(_double(_double(point)), table[(u >> shift & 3) << 2 | v >> shift & 3])
        yield False
    if point is not None:
        # The affine x is x / z^2, and it may have been r or r + n (below p) before it was taken mod n.
        x, _y, z = point
        z = z * z % _P
        yield r * z % _P == x or r + _N < _P and (r + _N) * z % _P == x


def _number(data):
    return int.from_bytes(data, "big")


def _inverse(value):
    """1 / value mod n, by Euclid: `value` and n have no common divisor."""
    a, b, u, v = value, _N, 1, 0
    while a > 1:
        q = b // a
        a, b, u, v = b - q * a, a, v - q * u, u
    return u % _N


# Points in Jacobian coordinates (x, y, z), standing for (x / z^2, y / z^3); None is infinity.


def _double(point):
    """2 * point (for a = -3)."""
    if point is None:
        return None
    x, y, z = point
    zz = z * z % _P
    yy = y * y % _P
    beta = x * yy % _P
    alpha = 3 * (x - zz) * (x + zz) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(a, b):
    """a + b."""
    if a is None:
        return b
    if b is None:
        return a
    x1, y1, z1 = a
    x2, y2, z2 = b
    zz1 = z1 * z1 % _P
    zz2 = z2 * z2 % _P
    u = x1 * zz2 % _P
    s = y1 * zz2 * z2 % _P
    h = (x2 * zz1 - u) % _P
    r = (y2 * zz1 * z1 - s) % _P
    if h == 0:
        return _double(a) if r == 0 else None
    hh = h * h % _P
    hhh = h * hh % _P
    v = u * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - s * hhh) % _P, h * z1 * z2 % _P
