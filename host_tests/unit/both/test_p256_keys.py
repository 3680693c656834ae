"""P-256 with private keys: agreement (NIST CAVP, RFC 5903), signatures with RFC 6979's nonces, and what is refused."""

import hashlib

from check import Turns, raises, unhex
from crypto import ecdh, p256
from crypto.curve import N, P, last_anew
from crypto.ecdh import agree, agree_async
from crypto.ecdsa import nonces, sign, sign_async
from crypto.p256 import key_pair, key_pair_async
from crypto.verify import verify
from port import reserve

# NIST CAVP, ECC CDH primitive, P-256, counts 0 to 2; last, RFC 5903 section 8.1: (private, public, peer's, secret)
AGREEMENTS = (
    (
        "7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534",
        "ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230"
        "28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141",
        "700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287"
        "db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
        "46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b",
    ),
    (
        "38f65d6dce47676044d58ce5139582d568f64bb16098d179dbab07741dd5caf5",
        "119f2f047902782ab0c9e27a54aff5eb9b964829ca99c06b02ddba95b0a3f6d0"
        "8f52b726664cac366fc98ac7a012b2682cbd962e5acb544671d41b9445704d1d",
        "809f04289c64348c01515eb03d5ce7ac1a8cb9498f5caa50197e58d43a86a7ae"
        "b29d84e811197f25eba8f5194092cb6ff440e26d4421011372461f579271cda3",
        "057d636096cb80b67a8c038c890e887d1adfa4195e9b3ce241c8a778c59cda67",
    ),
    (
        "1accfaf1b97712b85a6f54b148985a1bdc4c9bec0bd258cad4b3d603f49f32c8",
        "d9f2b79c172845bfdb560bbb01447ca5ecc0470a09513b6126902c6b4f8d1051"
        "f815ef5ec32128d3487834764678702e64e164ff7315185e23aff5facd96d7bc",
        "a2339c12d4a03c33546de533268b4ad667debf458b464d77443636440ee7fec3"
        "ef48a3ab26e20220bcda2c1851076839dae88eae962869a497bf73cb66faf536",
        "2d457b78b4614132477618a5b077965ec90730a8c81a1c75d6d4ec68005d67ec",
    ),
    (
        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
        "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
        "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
        "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    ),
)

# RFC 6979 A.2.5, with SHA-256: key, and (message, nonce, r and s)
PRIVATE = unhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
PUBLIC = unhex(
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SIGNATURES = (
    (
        b"sample",
        "A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60",
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    ),
    (
        b"test",
        "D16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0",
        "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
        "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
    ),
)

# Points of the curve with x = 0 and its y, which is a square root of b
ZERO_X = unhex("00" * 32 + "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4")


def number(value):
    return value.to_bytes(32, "big")


def opposite(public):
    return public[:32] + number(P - int.from_bytes(public[32:], "big"))


def test_agreement():
    for private, public, peer, secret in AGREEMENTS:
        private, public, peer, secret = unhex(private), unhex(public), unhex(peer), unhex(secret)
        assert key_pair(lambda n, private=private: private) == (private, public)
        assert agree(private, peer) == secret
        assert agree(private, opposite(peer)) == secret  # only x counts
        assert agree(number(N - int.from_bytes(private, "big")), peer) == secret


def test_both_sides_agree_with_keys_at_the_edges():
    """Factors that meet the ends of the tables, and sums of equal and of opposite points."""
    edges = [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 1 << 64, (1 << 64) - 1, 1 << 192, 1 << 255, N // 2, N // 2 + 1]
    edges += [N - 33, N - 32, N - 17, N - 16, N - 15, N - 3, N - 2, N - 1]
    others = {}
    for edge in edges:
        private, public = key_pair(lambda n, edge=edge: number(edge))
        others[edge] = public
        assert agree(private, PUBLIC) == agree(PRIVATE, public), edge
    assert others[1] == opposite(others[N - 1]) and others[2] == opposite(others[N - 2])
    for edge in (1, 2, N - 1, N - 2, 16, N - 16):
        assert agree(number(edge), others[1]) == others[edge][:32]


def test_a_secret_keeps_its_zeros():
    """x = 0 is a coordinate like any other: 32 bytes, none left out (SP 800-56A, appendix C.2)."""
    assert agree(number(1), ZERO_X) == bytes(32) and agree(number(N - 1), ZERO_X) == bytes(32)
    half = number((N + 1) // 2)
    doubled = agree(number(2), ZERO_X)
    assert doubled != bytes(32)
    # A point that half of it leads back to x = 0
    x = int.from_bytes(doubled, "big")
    y = pow(x * x * x - 3 * x + 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B, (P + 1) // 4, P)
    assert agree(half, doubled + number(y)) == bytes(32)


def test_points_that_are_none_are_refused():
    x, y = PUBLIC[:32], PUBLIC[32:]
    small = 5  # an x whose x + p fits into 32 bytes
    for bad in (
        bytes(64),  # what infinity might be written as
        x + bytes(32),
        bytes(32) + y,
        x + number(int.from_bytes(y, "big") ^ 1),
        number(int.from_bytes(x, "big") ^ 1) + y,
        y + x,
        x + number(P),
        number(P) + ZERO_X[32:],  # 0, written as p
        number(P + small) + y,
        x + number((1 << 256) - 1),
        b"\xff" * 64,
        # Points of other curves with the same a (b = 0 and b + 1): where an invalid-curve attack would begin
        number(0) + number(0),
        number(1) + number(1),
    ):
        with raises(ValueError, "curve"):
            agree(PRIVATE, bad)


def test_a_coordinate_of_p_or_above_is_refused_though_the_equation_holds():
    private, public = key_pair(lambda n: number(7))
    assert agree(private, ZERO_X) == agree(private, opposite(ZERO_X))
    with raises(ValueError, "curve"):
        agree(private, number(P) + ZERO_X[32:])


def test_keys_of_another_length_are_refused():
    for bad in (b"", PUBLIC[:63], PUBLIC + b"\0", b"\4" + PUBLIC, b"\2" + PUBLIC[:32]):
        with raises(ValueError, "key"):
            agree(PRIVATE, bad)


def test_private_numbers_out_of_range_are_refused():
    digest = hashlib.sha256(b"sample").digest()
    for bad in (0, N, N + 1, (1 << 256) - 1):
        with raises(ValueError, "key"):
            agree(number(bad), PUBLIC)
        with raises(ValueError, "key"):
            sign(number(bad), digest)


def test_a_new_key_is_drawn_again_until_it_is_in_range():
    drawn = [bytes(32), number(N), b"\xff" * 32, number(N + 1), PRIVATE, number(1)]

    def random(n):
        assert n == 32
        return drawn.pop(0)

    assert key_pair(random) == (PRIVATE, PUBLIC) and drawn == [number(1)]


def test_the_steps_of_a_signature_do_not_tell_its_nonce():
    """How often points are added and doubled is what a network lets measure."""
    counts = set()
    real = p256.add, p256.double
    for factor in (1, 2, 3, 1 << 63, 1 << 65, (1 << 192) - 1, N // 2, N - 1, N - 2):
        done = []
        p256.add = lambda a, b, done=done: done.append(a is None or b is None) or real[0](a, b)
        p256.double = lambda a, done=done: done.append(a is None) or real[1](a)
        try:
            point = p256.last(p256.times_g(factor))
        finally:
            p256.add, p256.double = real
        assert p256.affine(point) == p256.affine(p256.last(ecdh.times(factor, p256.G))), factor
        counts.add((len(done), sum(done)))
    assert len(counts) == 1, counts
    # Where the same point is added, or its negative: right, if not alike.
    for factor in (1 << 64, N - (1 << 64), N - (1 << 65)):
        assert p256.affine(p256.last(p256.times_g(factor))) == p256.affine(p256.last(ecdh.times(factor, p256.G)))


def test_signatures_of_rfc_6979():
    for message, nonce, signature in SIGNATURES:
        digest = hashlib.sha256(message).digest()
        assert next(nonces(PRIVATE, digest)) == unhex(nonce)
        assert sign(PRIVATE, digest) == unhex(signature)
        assert verify(PUBLIC, digest, unhex(signature))


def test_signatures_over_digests_at_the_edges():
    """Digests are taken mod n: for the nonce (bits2octets), and in the signature."""
    for digest in (bytes(32), number(1), number(N - 1), number(N), number(N + 1), b"\xff" * 32):
        assert verify(PUBLIC, digest, sign(PRIVATE, digest))
    assert sign(PRIVATE, number(N)) == sign(PRIVATE, bytes(32))
    assert sign(PRIVATE, number(N + 1)) == sign(PRIVATE, number(1))
    for edge in (1, 2, N - 2, N - 1):
        private, public = key_pair(lambda n, edge=edge: number(edge))
        digest = hashlib.sha256(private).digest()
        assert verify(public, digest, sign(private, digest)) and not verify(PUBLIC, digest, sign(private, digest))


def test_the_next_nonce_is_another_one():
    found = []
    for nonce in nonces(PRIVATE, hashlib.sha256(b"sample").digest()):
        found.append(nonce)
        if len(found) == 5:
            break
    assert len(set(found)) == 5


async def test_what_finds_no_memory_begins_anew_with_the_reserves():
    begun = []

    def steps(first):
        begun.append(first)
        yield first
        if len(begun) in (1, 2, 4, 5, 6):
            raise MemoryError
        yield first + 1

    reserve.size, reserve.spare = 256, 64
    reserve.take()
    try:
        assert await last_anew(steps, 7) == 8  # with the second piece, and with both
        assert begun == [7] * 3 and not reserve.good()
        reserve.take()
        assert reserve.good()
        try:
            await last_anew(steps, 7)
            raise AssertionError("it came to an end")
        except MemoryError:
            assert len(begun) == 6
    finally:
        reserve.size = reserve.spare = 0
        reserve.let_go()


async def test_the_loop_runs_meanwhile():
    private, public, peer, secret = [unhex(text) for text in AGREEMENTS[0]]
    steps = []
    for action in (
        lambda: key_pair_async(lambda n: private),
        lambda: agree_async(private, peer),
        lambda: sign_async(PRIVATE, hashlib.sha256(b"test").digest()),
    ):
        async with Turns() as turns:
            steps.append((await action(), turns.count))
    assert [result for result, _ in steps] == [(private, public), secret, unhex(SIGNATURES[1][2])]
    assert all(count >= 60 for _, count in steps), steps
