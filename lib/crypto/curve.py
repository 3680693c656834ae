"""The curve P-256 (SP 800-186): its numbers, and sums of its points."""

from port import collect_after, const, reserve, sleep_ms, urandom

_RARELY = const(32768)  # bytes of garbage

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def on_curve(x, y):
    """Whether (x, y) is a point of the curve, coordinates in range. Infinity has no such form."""
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - _B) % P == 0


def last(steps):
    """The last thing that `steps` gives: its result."""
    result = None
    for result in steps:  # noqa: B007
        pass
    return result


async def last_async(steps):
    """As `last`, and the loop runs after every step."""
    result = None
    collect_after(_RARELY)  # all that the steps leave is garbage, and a megabyte of it
    try:
        for result in steps:  # noqa: B007
            await sleep_ms(0)
    finally:
        collect_after(reserve.garbage)
    return result


async def last_anew(make, *args):
    """As `last_async` for the steps `make(*args)`, which begin anew where there is no memory and the reserve gives some."""
    while True:
        try:
            return await last_async(make(*args))
        except MemoryError:
            if not reserve.let_go(True):
                raise


def number(data):
    """An integer from its bytes, the highest first."""
    return int.from_bytes(data, "big")


def inverse(a, m):
    """1 / a modulo the prime m, for 0 < a < m, by Euclid's algorithm: its time depends on a."""
    b, u, v = m, 1, 0
    while a > 1:
        q, r = divmod(b, a)
        b, a = a, r
        u, v = v - q * u, u
    return u % m


def affine(point):
    """(x, y) of a point that is not infinity."""
    x, y, z = point
    # z tells of the factor, and a time would of z: what is inverted is random.
    blind = number(urandom(32)) % P or 1
    z = inverse(z * blind % P, P) * blind % P
    zz = z * z % P
    return x * zz % P, y * zz * z % P


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
