"""P-256 verification and COSE_Sign1: published vectors and bad inputs, on both interpreters."""

from check import unhex
from crypto import cose
from crypto.p256 import _G, _N, _P, on_curve, verify

# RFC 6979 A.2.5: P-256, SHA-256, messages "sample" and "test".
PUBLIC = unhex(
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SAMPLE = unhex(
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
)
TEST = unhex(
    "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
)


def sha256(data):
    import hashlib

    return hashlib.sha256(data).digest()


def number(value):
    return value.to_bytes(32, "big")


async def test_published_signatures():
    assert await verify(PUBLIC, sha256(b"sample"), SAMPLE)
    assert await verify(PUBLIC, sha256(b"test"), TEST)
    assert not await verify(PUBLIC, sha256(b"sample"), TEST)


async def test_one_changed_bit_anywhere():
    good = sha256(b"sample")
    for place in (0, 13, 31, 32, 50, 63):
        changed = bytearray(SAMPLE)
        changed[place] ^= 1
        assert not await verify(PUBLIC, good, changed)
    changed = bytearray(good)
    changed[31] ^= 1
    assert not await verify(PUBLIC, changed, SAMPLE)


async def test_values_out_of_range():
    good = sha256(b"sample")
    r, s = SAMPLE[:32], SAMPLE[32:]
    for bad in (0, _N, _N + 1, (1 << 256) - 1):
        assert not await verify(PUBLIC, good, number(bad) + s)
        assert not await verify(PUBLIC, good, r + number(bad))
    assert not await verify(PUBLIC, good, SAMPLE[:63])
    assert not await verify(PUBLIC, good, SAMPLE + b"\0")
    assert not await verify(PUBLIC, good[:31], SAMPLE)
    assert not await verify(PUBLIC[:63], good, SAMPLE)


async def test_keys_that_are_no_points():
    good = sha256(b"sample")
    assert not await verify(bytes(64), good, SAMPLE)
    assert not await verify(PUBLIC[:63] + bytes((PUBLIC[63] ^ 1,)), good, SAMPLE)
    x, y = int.from_bytes(PUBLIC[:32], "big"), int.from_bytes(PUBLIC[32:], "big")
    assert not await verify(number(y) + number(x), good, SAMPLE)
    assert not on_curve(x + _P, y) and not on_curve(x, -y) and on_curve(x, _P - y)


async def test_a_signature_with_s_negated_is_valid_for_ecdsa():
    s = int.from_bytes(SAMPLE[32:], "big")
    assert await verify(PUBLIC, sha256(b"sample"), SAMPLE[:32] + number(_N - s))


async def test_key_equal_to_the_generator():
    # d = 1: the table holds sums of equal and of opposite points. k = 1, so r = G.x and s = z + r.
    z = int.from_bytes(sha256(b"sample"), "big")
    r = _G[0] % _N
    s = (z + r) % _N
    generator = number(_G[0]) + number(_G[1])
    assert await verify(generator, number(z), number(r) + number(s))
    # d = -1: s = z - r
    opposite = number(_G[0]) + number(_P - _G[1])
    assert await verify(opposite, number(z), number(r) + number((z - r) % _N))
    assert not await verify(opposite, number(z), number(r) + number(s))


async def test_digest_zero_and_sum_at_infinity():
    r = _G[0] % _N
    assert await verify(number(_G[0]) + number(_G[1]), bytes(32), number(r) + number(r))  # k = d = 1, z = 0
    # z = -r with the key G: u * G + v * G is infinity, which is no signature.
    assert not await verify(number(_G[0]) + number(_G[1]), number(_N - r), number(r) + number(1))


def test_sig_structure_of_the_standard():
    # RFC 9052 section 4.4, by hand: ["Signature1", h'a10126', h'', 'payload']
    import hashlib

    expected = b"\x84\x6aSignature1\x43\xa1\x01\x26\x40\x47payload"
    assert cose.digest(b"\xa1\x01\x26", b"payload") == hashlib.sha256(expected).digest()
    for size in (0, 23, 24, 255, 256, 1000):
        head = bytes((0x40 | size,)) if size < 24 else bytes((0x58, size)) if size < 256 else b"\x59" + size.to_bytes(2, "big")
        expected = b"\x84\x6aSignature1\x43\xa1\x01\x26\x40" + head + bytes(size)
        assert cose.digest(b"\xa1\x01\x26", bytes(size)) == hashlib.sha256(expected).digest()
