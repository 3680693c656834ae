"""ECDSA verification on the curve P-256 (FIPS 186-5, SEC 1 section 4.1.4).

Only public values are handled here, so nothing needs to take constant time. A multiplication takes 0.5 s on an ESP32:
`verify` yields to the loop every few bits.
"""

from port import const, sleep_ms

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_BITS = const(256)
_STRIDE = const(8)  # bits between two yields: about 30 ms on an ESP32


def _double(point):
    """2 * point, in Jacobian coordinates (a = -3). None is infinity."""
    if point is None:
        return None
    x, y, z = point
    zz = z * z % _P
    yy = y * y % _P
    beta = x * yy % _P
    alpha = 3 * (x - zz) * (x + zz) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(point, affine):
    """point + affine: Jacobian and affine coordinates. None is infinity."""
    x2, y2 = affine
    if point is None:
        return x2, y2, 1
    x1, y1, z1 = point
    zz = z1 * z1 % _P
    h = (x2 * zz - x1) % _P
    r = (y2 * zz * z1 - y1) % _P
    if h == 0:
        return _double(point) if r == 0 else None
    hh = h * h % _P
    hhh = h * hh % _P
    v = x1 * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - y1 * hhh) % _P, z1 * h % _P


def _affine(point):
    """(x, y) of a point that is not infinity."""
    x, y, z = point
    inverse = pow(z, _P - 2, _P)
    square = inverse * inverse % _P
    return x * square % _P, y * square * inverse % _P


def on_curve(x, y):
    """Whether (x, y) is a point of the curve, coordinates in range."""
    return 0 <= x < _P and 0 <= y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


def _number(data):
    return int.from_bytes(data, "big")


async def verify(public, digest, signature):
    """Whether `signature` (r and s, 64 bytes) over `digest` (32 bytes) is by the key `public` (x and y, 64 bytes).

    False for everything malformed: lengths, values out of range, a public key that is not on the curve.
    """
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return False
    key = _number(public[:32]), _number(public[32:])
    r, s = _number(signature[:32]), _number(signature[32:])
    if not (0 < r < _N and 0 < s < _N and on_curve(key[0], key[1])):
        return False
    inverse = pow(s, _N - 2, _N)
    point = await _both(_number(digest) * inverse % _N, r * inverse % _N, key)
    return point is not None and _affine(point)[0] % _N == r


async def _both(u, v, key):
    """u * G + v * key, bit by bit for both at once (Shamir's trick), two bits a step."""
    table = await _combinations(key)
    point = None
    for shift in range(_BITS - 2, -2, -2):
        point = _double(_double(point))
        entry = table[(u >> shift & 3) << 2 | v >> shift & 3]
        if entry is not None:
            point = _add(point, entry)
        if shift % _STRIDE == 0:
            await sleep_ms(0)
    return point


async def _combinations(key):
    """i * G + j * key in affine coordinates at index 4 * i + j, for i and j from 0 to 3; None is infinity."""
    table = [None] * 16
    for i in range(4):
        for j in range(4):
            if j:
                before, step = table[4 * i + j - 1], key
            elif i:
                before, step = table[4 * i - 4], _G
            else:
                continue
            point = _add(None if before is None else (before[0], before[1], 1), step)
            table[4 * i + j] = None if point is None else _affine(point)
            await sleep_ms(0)
    return table
