"""P-256 verification and COSE_Sign1 against OpenSSL (through `cryptography`): many keys, damaged signatures."""

import asyncio
import hashlib

import cbor2
from crypto.cose import ES256, verify_sign1
from crypto.curve import on_curve
from crypto.verify import verify
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PREHASHED = ec.ECDSA(utils.Prehashed(SHA256()))

edges = st.sampled_from([1, 2, 3, 4, 5, 15, 16, 17, N - 1, N - 2, N - 3, N - 4, N // 2, N // 2 + 1])
privates = edges | st.integers(1, N - 1)
words = st.sampled_from([0, 1, N - 1, N, N + 1, (1 << 256) - 1]) | st.integers(0, (1 << 256) - 1)


def number(value):
    return value.to_bytes(32, "big")


def public(private):
    numbers = private.public_key().public_numbers()
    return number(numbers.x) + number(numbers.y)


def openssl(private, digest, signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        private.public_key().verify(utils.encode_dss_signature(r, s), digest, PREHASHED)
    except InvalidSignature:
        return False
    return True


def sign(private, digest):
    r, s = utils.decode_dss_signature(private.sign(digest, PREHASHED))
    return number(r) + number(s)


@settings(max_examples=60, deadline=None)
@given(privates, words)
def test_good_signatures(secret, word):
    private = ec.derive_private_key(secret, ec.SECP256R1())
    digest = number(word)
    assert verify(public(private), digest, sign(private, digest))


@settings(max_examples=60, deadline=None)
@given(privates, words, st.integers(0, 511), st.integers(0, 255), st.sampled_from(["signature", "digest", "key"]))
def test_one_changed_bit(secret, word, place, other_place, where):
    private = ec.derive_private_key(secret, ec.SECP256R1())
    digest = number(word)
    key, signature = bytearray(public(private)), bytearray(sign(private, digest))
    digest = bytearray(digest)
    if where == "digest":
        digest[other_place // 8] ^= 1 << other_place % 8
    else:
        (key if where == "key" else signature)[place // 8] ^= 1 << place % 8
    if where == "key":
        assert not verify(key, digest, signature)  # off the curve, but for a chance of 2^-256 or so
        assert not on_curve(int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big"))
    else:
        assert verify(key, digest, signature) is openssl(private, bytes(digest), bytes(signature)) is False


@settings(max_examples=60, deadline=None)
@given(privates, words, words, words)
def test_any_numbers(secret, word, r, s):
    private = ec.derive_private_key(secret, ec.SECP256R1())
    signature = number(r) + number(s)
    assert verify(public(private), number(word), signature) is openssl(private, number(word), signature)


@settings(max_examples=30, deadline=None)
@given(privates, st.integers(1, N - 1), st.integers(1, N - 1) | st.integers(1, 100))
def test_any_two_factors(secret, u, v):
    """u * G + v * key for chosen u and v: r = x, s = r / v, digest = u * s. Small ones make sums meet their addends."""
    private = ec.derive_private_key(secret, ec.SECP256R1())
    k = (u + v * secret) % N
    if k:
        r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % N
        s = r * pow(v, -1, N) % N
        digest, signature = number(u * s % N), number(r) + number(s)
        assert verify(public(private), digest, signature) is openssl(private, digest, signature) is True


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=70))
def test_any_bytes(key, digest, signature):
    assert verify(key, digest, signature) is False


@settings(max_examples=30, deadline=None)
@given(privates, st.binary(max_size=600), st.binary(max_size=30), st.booleans())
def test_cose_sign1(secret, payload, external, damaged):
    private = ec.derive_private_key(secret, ec.SECP256R1())
    structure = cbor2.dumps(["Signature1", cbor2.dumps({1: -7}), external, payload])
    signature = sign(private, hashlib.sha256(structure).digest())
    if damaged:
        payload += b"\0"
    assert asyncio.run(verify_sign1(public(private), ES256, payload, signature, external)) is not damaged
