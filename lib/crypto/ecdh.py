"""Key agreement on the curve P-256 (SP 800-56A section 5.7.1.2). Of its arithmetic `crypto.p256` tells."""

from port import const

from crypto.curve import N, P, add, affine, double, last, last_anew, number, on_curve

_SMALLEST = const(16)  # wNAF of width 5: odd digits below this
_DIGITS = const(257)


def agree(private, public):
    """The shared secret (32 bytes, the x coordinate) of a private key and another's public one (64 bytes).

    Raises ValueError when either is none: the point is not on the curve, or the number not in 1 to n - 1.
    """
    return last(_agree(private, public))


async def agree_async(private, public):
    """As `agree`, and other tasks of the loop get their turn after every step."""
    return await last_anew(_agree, private, public)


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


def times(factor, point):
    """factor * point for 0 < factor < n, in steps of which the last gives the point (wNAF, HAC 14.142)."""
    digits = bytearray(_DIGITS)  # the largest piece, so it is made first
    count = 0
    twice = double(point)
    odd = [point]
    for _ in range(_SMALLEST // 2 - 1):
        odd.append(add(odd[-1], twice))
        yield
    while factor:
        digit = 0
        if factor & 1:
            digit = factor & 31
            factor -= digit if digit < _SMALLEST else digit - 32
        digits[count] = digit
        count += 1
        factor >>= 1
    result = None
    for i in range(count - 1, -1, -1):
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
