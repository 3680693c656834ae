"""What `lib/crypto` makes of any input, against OpenSSL (through `cryptography`) and the standard library."""

import asyncio
import hashlib
import hmac as standard

from crypto import hashed, padded
from crypto.ccm import Ccm
from crypto.curve import N, P, on_curve
from crypto.ecdh import agree
from crypto.ecdsa import nonces, sign
from crypto.p256 import key_pair
from crypto.prf import p_hash, pbkdf2
from crypto.verify import verify
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

EDGES = [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, N - 1, N - 2, N - 3, N - 15, N - 16, N - 17, N - 31, N // 2, N // 2 + 1]
EDGES += [1 << i for i in (63, 64, 65, 127, 128, 192, 255)] + [(1 << i) - 1 for i in (64, 128, 192, 255)]
privates = st.sampled_from(EDGES) | st.integers(1, N - 1)
keys = st.binary(min_size=16, max_size=16)
tags = st.sampled_from([8, 16])
aads = st.binary(min_size=1, max_size=40)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def openssl(private: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(private, ec.SECP256R1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return number(numbers.x) + number(numbers.y)


@settings(max_examples=60, deadline=None)
@given(privates, privates)
def test_key_pairs_and_agreement(mine, other):
    ours, theirs = openssl(mine), openssl(other)
    assert key_pair(lambda n: number(mine)) == (number(mine), point(ours))
    assert agree(number(mine), point(theirs)) == ours.exchange(ec.ECDH(), theirs.public_key())


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, (1 << 256) - 1) | st.sampled_from([0, 1, P - 1, P, P + 5]),
    st.integers(0, (1 << 256) - 1),
    st.booleans(),
)
def test_points_are_what_openssl_says(x, y, solved):
    """`solved`: y is a root for this x wherever there is one, so that half of the points are good."""
    if solved:
        b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
        y = pow((x * x * x - 3 * x + b) % P, (P + 1) // 4, P)
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + number(x) + number(y))
    except ValueError:
        key = None
    assert on_curve(x, y) is (key is not None)
    try:
        secret = agree(number(3), number(x) + number(y))
    except ValueError:
        secret = None
    assert secret == (openssl(3).exchange(ec.ECDH(), key) if key else None)


@settings(max_examples=40, deadline=None)
@given(privates, st.binary(min_size=32, max_size=32))
def test_openssl_believes_our_signatures(secret, digest):
    key = openssl(secret)
    signature = sign(number(secret), digest)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.public_key().verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(SHA256())))
    assert verify(point(key), digest, signature) and signature == sign(number(secret), digest)


@settings(max_examples=40, deadline=None)
@given(privates, st.binary(min_size=32, max_size=32))
def test_nonces_of_rfc_6979_by_other_code(secret, digest):
    """Section 3.2 step by step, with the standard library; also the candidates that come after a refused one."""

    def code(key, data):
        return standard.new(key, data, "sha256").digest()

    seed = number(secret) + number(int.from_bytes(digest, "big") % N)
    v, k = b"\1" * 32, bytes(32)
    k = code(k, v + b"\0" + seed)
    v = code(k, v)
    k = code(k, v + b"\1" + seed)
    v = code(k, v)
    found = nonces(number(secret), digest)
    for _ in range(3):
        v = code(k, v)
        assert next(found) == v
        k = code(k, v + b"\0")
        v = code(k, v)


@settings(max_examples=150, deadline=None)
@given(keys, tags, st.binary(min_size=12, max_size=12), aads, st.binary(max_size=200))
def test_ccm(key, tag, nonce, aad, data):
    sealed = Ccm(key, tag).seal(nonce, aad, data)
    assert sealed == AESCCM(key, tag).encrypt(nonce, data, aad)
    assert Ccm(key, tag).open(nonce, aad, sealed) == data


@settings(max_examples=5, deadline=None)
@given(keys, tags, st.integers(0xFEFE, 0xFEFF), st.integers(4000, 16384))
def test_ccm_at_its_limits(key, tag, size, length):
    nonce, aad, data = bytes(12), bytes(size), bytes(length)
    sealed = Ccm(key, tag).seal(nonce, aad, data)
    assert sealed == AESCCM(key, tag).encrypt(nonce, data, aad) and Ccm(key, tag).open(nonce, aad, sealed) == data


@settings(max_examples=150, deadline=None)
@given(keys, tags, st.binary(min_size=12, max_size=12), aads, st.binary(max_size=64), st.data())
def test_ccm_of_anything_else(key, tag, nonce, aad, data, draw):
    """Sealed data changed somewhere, cut or grown: what OpenSSL refuses is refused."""
    sealed = bytearray(AESCCM(key, tag).encrypt(nonce, data, aad))
    kind = draw.draw(st.sampled_from(["change", "cut", "grow"]))
    at = draw.draw(st.integers(0, len(sealed) - 1))
    if kind == "change":
        sealed[at] ^= draw.draw(st.integers(1, 255))
    elif kind == "cut":
        del sealed[at:]
    else:
        sealed[at:at] = draw.draw(st.binary(min_size=1, max_size=20))
    try:
        expected = AESCCM(key, tag).decrypt(nonce, bytes(sealed), aad)
    except (InvalidTag, ValueError):
        expected = None
    assert Ccm(key, tag).open(nonce, aad, bytes(sealed)) == expected is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.lists(st.binary(max_size=100), max_size=4))
def test_hmac(key, parts):
    assert hashed(padded(key), *parts) == standard.new(key, b"".join(parts), "sha256").digest()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(0, 150))
def test_p_hash(secret, seed, n):
    a, expected = seed, b""
    while len(expected) < n:
        a = standard.new(secret, a, "sha256").digest()
        expected += standard.new(secret, a + seed, "sha256").digest()
    assert p_hash(secret, seed, n) == expected[:n]


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=40), st.integers(1, 40), st.integers(1, 32))
def test_pbkdf2(password, salt, rounds, n):
    assert asyncio.run(pbkdf2(password, salt, rounds, n)) == hashlib.pbkdf2_hmac("sha256", password, salt, rounds, n)
