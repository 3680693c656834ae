"""P-256 verification: published signatures, edge cases, malformed input."""

import hashlib

from check import Turns, unhex
from crypto import equal
from crypto.curve import add, affine, double, inverse, on_curve
from crypto.p256 import POINTS
from crypto.verify import verify, verify_async

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

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

# (key, digest, signature, whether it is valid): computed with other code than ours, and OpenSSL agrees with every one.
EDGES = (
    # the running sum equals the next addend (key 4 G)
    (
        "e2534a3532d08fbba02dde659ee62bd0031fe2db785596ef509302446b030852"
        "e0f1575a4c633cc719dfee5fda862d764efc96c3f30ee0055c42c23f184ed8c6",
        "8b65de77fba6c14c0109d0b4ead532b74a61e7b29822c0e9dfbcac44715ba8fb",
        "62d9779dbee9b0534042742d3ab54cadc1d238980fce97dbb4dd9dc1db6fb393"
        "62d9779dbee9b0534042742d3ab54cadc1d238980fce97dbb4dd9dc1db6fb393",
        True,
    ),
    # the running sum is the opposite of the next addend (key -4 G): infinity on the way
    (
        "e2534a3532d08fbba02dde659ee62bd0031fe2db785596ef509302446b030852"
        "1f0ea8a4b39cc339e62011a02579d289b103693d0cf11ffaa3bd3dc0e7b12739",
        "47253c49bcfc19b06122d54ee77a1406de745d6088842da4a21683445df48304",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "9ac5f47c384b10927e2f39b958e9103c7c345cb71f069c2ab70533b2f457c34e",
        True,
    ),
    # key 3 G: the table holds equal sums
    (
        "5ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c"
        "8734640c4998ff7e374b06ce1a64a2ecd82ab036384fb83d9a79b127a27d5032",
        "5235898b215eb7e0422568cff8b5557fb804c6b399414f04527cae1a0fc4ecc3",
        "eadc191f9a1db28c6130fe7de9ca909700d0110ce52e551a7fab9f10cbc0a22b"
        "80390ab06ba2d43f11e40f8617ff51cc1cc87f503d6dc074c35289f19b5b1142",
        True,
    ),
    # x of the point is between n and p: r is x - n
    (
        "891af8b620df1d7e9690763269726993bba2c05d13e3d4271e30c1054a4d1c97"
        "e26b5bcb1e4398d4186417683084eca290082e90ee0b81b603932b932350af83",
        "3e48d3b1c124fe44550f345f3876ca26b9c90dca542a4134e309bdea1af1ed47",
        "000000000000000000000000000000004319055358e8617b0c46353d039cdaab"
        "043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89",
        True,
    ),
    # r + n is x + p: not the point's x
    (
        "c07d7593af60e0d07796407f2aebae69e85e725372d85fa1f30b6faec08dc3f7"
        "ad9b6cc519570ccb4291f2d98446c3a38c9adfd6e2eafc1200da567ccd044a7d",
        "3e48d3b1c124fe44550f345f3876ca26b9c90dca542a4134e309bdea1af1ed47",
        "000000000000000000000000000000004319055358e8617b0c46353d039cdab3"
        "043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89",
        False,
    ),
    # digest 1
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "26efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad812"
        "8c77cd54665b9f51133102fc312adcaf73897c2a7e51457ba4c068aa71a77c87",
        True,
    ),
    # digest with all bits set, above n
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad812"
        "f9710fff786b81c9e680bef7a1406dbdc088502840b6bba695236e3b1f58740b",
        True,
    ),
    # digest n
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "26efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad812"
        "deab853f02823183c98dca25060370d4c6e6ab35d05c370a840c433f9c6faa9a",
        True,
    ),
    # r begins with a zero byte
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06",
        "005543894af3d00ed7d740abdbd75c96b06877b787db5f70eea78b90a8d7c00a"
        "f351c59592fe86b064c5f6b977fcb3865fd3afa938f7dbcd77b14795d01d6e52",
        True,
    ),
    # s begins with a zero byte
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "5bf9f5aa2bcd8de51821bbd78cdad3846ceb18812aca1c5c663ea5fc157bdc39",
        "26efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad812"
        "00952a5649896d3452e5dced4cad2137f3b440139c1366594cd2aa1a66512235",
        True,
    ),
    # digest begins with a zero byte
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "006fb8fcb0b900c4529511e6aec8e51195683fb334972a860cde4fb25d175c86",
        "100effdbc0e5a386048b0931a3a3bc9949d3875670819d1bf7c43440fa16ea8f"
        "c99573f4cd98db239ddc7dcda24deb96112cbd8fd5bed5195fe9d32c73628d5e",
        True,
    ),
    # both factors are equal (digest = r)
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "21508b35b4afe0f01ad0857e7e1dbcc749688dc911e3a74c8a0e83174c8c609c",
        "21508b35b4afe0f01ad0857e7e1dbcc749688dc911e3a74c8a0e83174c8c609c"
        "362f3634be0d5360e94c140baa26a91ac817d7f645a6d765523e7e2b101e6dc0",
        True,
    ),
    # s = 1
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "9057859ba386a749e8f48b1e739dd122668e8a1ad4ac8860809ca31e5da51989",
        "3cdd8bcf5b734da67714f14a8eed03c766af75e5d0faf1ba04b2eca3bddcd47a"
        "0000000000000000000000000000000000000000000000000000000000000001",
        True,
    ),
    # s = n - 1
    (
        "f15a7f9f58279004e3af49350e2ba8660caedf529064bcf32e775bc7378f0446"
        "f8e9cee1a0c489bdcdd6a0d4fe966cf9905aa4e48b2d3cfc63f3aa78cd961a8d",
        "9057859ba386a749e8f48b1e739dd122668e8a1ad4ac8860809ca31e5da4f865",
        "3cdd8bcf5b734da67714f14a8eed03c766af75e5d0faf1ba04b2eca3bddcd47a"
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550",
        True,
    ),
    # the key's x begins with a zero byte
    (
        "005543894af3d00ed7d740abdbd75c96b06877b787db5f70eea78b90a8d7c00a"
        "bb4c85a3d8ea29efaafa24406912dd84d5b14dc32bf656ef6c6bd58a5d943f92",
        "594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06",
        "2faab997dc7495a56a141fc767498ea0b063ae4a91bc4055453fed67e79f055f"
        "14a06fbf65709b4dcd152cd7e50a1c25fb43c4d48354645f26dbc6654dfecdf9",
        True,
    ),
    # a key whose x is small
    (
        "0000000000000000000000000000000000000000000000000000000000000005"
        "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc",
        "831b485f3b4bd7878f03a479567800defd986dcfa0f3ea2d06523166fdce1a24",
        "063690bf7697af0e1e0748f2acf001be3e49e0f19ad035d518ea980aff390ef7"
        "026c17cc7642a9181852b9a37aa9b30a1b466be39082da013cba15af96338a62",
        True,
    ),
)


def sha256(data):
    return hashlib.sha256(data).digest()


def number(value):
    return value.to_bytes(32, "big")


GOOD = sha256(b"sample")
GENERATOR = number(G[0]) + number(G[1])
OPPOSITE = number(G[0]) + number(P - G[1])


def test_published_signatures():
    assert verify(PUBLIC, GOOD, SAMPLE)
    assert verify(PUBLIC, sha256(b"test"), TEST)
    assert not verify(PUBLIC, GOOD, TEST)
    assert verify(memoryview(PUBLIC), bytearray(GOOD), memoryview(SAMPLE))


async def test_the_coroutine_says_the_same():
    assert await verify_async(PUBLIC, GOOD, SAMPLE) is True
    assert await verify_async(PUBLIC, GOOD, TEST) is False
    assert await verify_async(PUBLIC, GOOD, bytes(64)) is False
    for key, digest, signature, valid in EDGES[:3]:
        assert await verify_async(unhex(key), unhex(digest), unhex(signature)) is valid


async def test_other_tasks_get_their_turns():
    async with Turns() as turns:
        assert await verify_async(PUBLIC, GOOD, SAMPLE)
    assert turns.count >= 128, turns.count  # at least one for every two bits of the factors


def test_edges():
    for key, digest, signature, valid in EDGES:
        assert verify(unhex(key), unhex(digest), unhex(signature)) is valid, signature


def edge(name):
    """(key, digest, signature) of the vector whose signature has these hexadecimal digits at one end."""
    found = [e for e in EDGES if e[2].startswith(name) or e[2].endswith(name)]
    assert len(found) == 1 and found[0][3]
    return tuple(unhex(text) for text in found[0][:3])


def test_numbers_that_are_right_but_for_a_multiple_of_n():
    """What only the check of the range refuses: the arithmetic would come out even."""
    key, digest, signature = edge("0" * 63 + "1")  # s = 1
    assert verify(key, digest, signature)
    assert not verify(key, digest, signature[:32] + number(N + 1))
    assert not verify(key, digest, signature[:32] + number(0))  # has no inverse; 1 must not stand in for it
    key, digest, signature = edge("0" * 32 + "4319055358e8617b0c46353d039cdaab")  # x of the point is n + r
    x = int.from_bytes(signature[:32], "big") + N
    assert N < x < P and not verify(key, digest, number(x) + signature[32:])


def test_a_zero_byte_too_many():
    assert not verify(PUBLIC[:32] + b"\0" + PUBLIC[32:], GOOD, SAMPLE)
    assert not verify(PUBLIC, b"\0" + GOOD, SAMPLE)
    assert not verify(PUBLIC, GOOD, SAMPLE[:32] + b"\0" + SAMPLE[32:])


def test_one_changed_bit_anywhere():
    for place in (0, 13, 31, 32, 50, 63):
        changed = bytearray(SAMPLE)
        changed[place] ^= 1
        assert not verify(PUBLIC, GOOD, changed)
        changed = bytearray(PUBLIC)
        changed[place] ^= 1
        assert not verify(changed, GOOD, SAMPLE)
    for place in (0, 31):
        changed = bytearray(GOOD)
        changed[place] ^= 0x80
        assert not verify(PUBLIC, changed, SAMPLE)


def test_values_out_of_range():
    r, s = SAMPLE[:32], SAMPLE[32:]
    for bad in (0, N, N + 1, P, (1 << 256) - 1):
        assert not verify(PUBLIC, GOOD, number(bad) + s)
        assert not verify(PUBLIC, GOOD, r + number(bad))
        assert not verify(PUBLIC, GOOD, number(bad) + number(bad))
    # Valid for every digest if zero were let pass
    assert not verify(PUBLIC, bytes(32), bytes(64))
    assert not verify(GENERATOR, bytes(32), bytes(64))
    assert not verify(PUBLIC, GOOD, s + r)


def test_wrong_lengths():
    for size in (0, 31, 33, 64):
        assert not verify(PUBLIC, GOOD[:size] if size < 32 else GOOD + bytes(size - 32), SAMPLE)
    for size in (0, 32, 63):
        assert not verify(PUBLIC, GOOD, SAMPLE[:size])
        assert not verify(PUBLIC[:size], GOOD, SAMPLE)
    assert not verify(PUBLIC, GOOD, SAMPLE + b"\0")
    assert not verify(b"\x04" + PUBLIC, GOOD, SAMPLE)


def test_keys_that_are_no_points():
    assert not verify(bytes(64), GOOD, SAMPLE)  # how infinity is sometimes written
    assert not verify(PUBLIC[32:] + PUBLIC[:32], GOOD, SAMPLE)
    assert not verify(PUBLIC[:32] + number(P), GOOD, SAMPLE)
    x, y = int.from_bytes(PUBLIC[:32], "big"), int.from_bytes(PUBLIC[32:], "big")
    assert on_curve(x, y) and on_curve(x, P - y) and on_curve(G[0], G[1])
    assert not on_curve(x + P, y) and not on_curve(x, y + P) and not on_curve(x, -y) and not on_curve(0, 0)


def test_a_coordinate_above_p_is_refused_though_it_is_the_same_point():
    key, digest, signature, valid = EDGES[-1]
    key = unhex(key)
    x = int.from_bytes(key[:32], "big")
    assert valid and x == 5
    assert not verify(number(x + P) + key[32:], unhex(digest), unhex(signature))


def test_a_signature_with_s_negated_is_valid_for_ecdsa():
    s = int.from_bytes(SAMPLE[32:], "big")
    assert verify(PUBLIC, GOOD, SAMPLE[:32] + number(N - s))


def test_key_equal_to_the_generator_or_its_opposite():
    # d = 1: the table holds sums of equal points. k = 1, so r = G.x and s = z + r.
    z = int.from_bytes(GOOD, "big")
    r = G[0] % N
    s = (z + r) % N
    assert verify(GENERATOR, GOOD, number(r) + number(s))
    # d = -1: it holds sums of opposite points. s = z - r
    assert verify(OPPOSITE, GOOD, number(r) + number((z - r) % N))
    assert not verify(OPPOSITE, GOOD, number(r) + number(s))


def test_digest_zero_and_sum_at_infinity():
    r = G[0] % N
    assert verify(GENERATOR, bytes(32), number(r) + number(r))  # k = d = 1, z = 0
    # z = -r with the key G, z = r with the key -G: u * G + v * key is infinity, which is no signature.
    assert not verify(GENERATOR, number(N - r), number(r) + number(1))
    assert not verify(OPPOSITE, number(r), number(r) + number(1))


def test_equal():
    assert equal(b"", b"") and equal(b"abc", bytearray(b"abc")) and equal(memoryview(b"abc"), b"abc")
    for other in (b"", b"ab", b"abcd", b"abd", b"bbc", b"\xe1bc"):
        assert not equal(b"abc", other)


def test_the_constants_of_the_comb_are_sums_of_the_generator():
    teeth = [G + (1,)]
    for _ in range(3):
        point = teeth[-1]
        for _ in range(64):
            point = double(point)
        teeth.append(point)
    assert len(POINTS) == 15 * 64
    for t in range(1, 16):
        point = None
        for i in range(4):
            if t >> i & 1:
                point = add(point, affine(teeth[i]) + (1,))
        x, y = affine(point)
        assert POINTS[64 * t - 64 : 64 * t] == x.to_bytes(32, "big") + y.to_bytes(32, "big")


def test_inverses():
    for m in (P, N):
        for a in (1, 2, 3, m - 1, m - 2, m // 2, m // 2 + 1, 1 << 255, (1 << 128) - 1, G[0], G[1]):
            found = inverse(a, m)
            assert 0 < found < m and found * a % m == 1, a
