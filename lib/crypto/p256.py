"""Key pairs and key agreement on the curve P-256 (SP 800-56A section 5.7.1.2).

The arithmetic is that of Python's integers: its time depends on the values. Ephemeral keys contain what that tells
(docs/security.md). One multiplication takes about half a second on an ESP32: the `_async` forms let the loop run after each
of their steps.
"""

from port import const

from crypto.comb import POINTS
from crypto.curve import N, P, add, affine, double, last, last_async, number, on_curve

_SPACE = const(64)  # bits between two teeth of the comb, which has four
_SMALLEST = const(16)  # wNAF of width 5: odd digits below this


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


def times_g(factor):
    """factor * G for 0 < factor < n, in steps of which the last gives the point (a comb, HAC 14.117)."""
    point = None
    for i in range(_SPACE - 1, -1, -1):
        tooth = (
            factor >> i & 1 | (factor >> i + 64 & 1) << 1 | (factor >> i + 128 & 1) << 2 | (factor >> i + 192 & 1) << 3
        )
        point = double(point)
        if tooth:
            at = 64 * tooth - 64
            point = add(point, (number(POINTS[at : at + 32]), number(POINTS[at + 32 : at + 64]), 1))
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
