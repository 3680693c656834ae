"""`crypto.cose`: published signatures, what is signed, and what is refused, on both interpreters."""

import hashlib

from cbor import Tag, dumps
from cbor.decoder import decode
from check import raises, unhex
from crypto.cose import ES256, sig_structure, verify_sign1
from crypto.verify import verify

# RFC 9052 appendix C.2.1: the key "11" signs a text under the header {alg: ES256}.
KEY = unhex(
    "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
    "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
)
CONTENT = b"This is the content."
SIGNATURE = unhex(
    "8eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e"
    "2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
)

# draft-ietf-suit-manifest, appendix B.1 (example 0) and the key of its examples.
SUIT_KEY = unhex(
    "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad"
    "3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896"
)
SUIT = unhex(
    """
    d86ba2025873825824822f58206658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af
    584ad28443a10126a0f65840408d0816f9b510749bf6a51b066951e08a4438f849eb092a1ac768eed9de696c1b
    1dd35d82ef149e6a73a61976ad2cfe78444b8064293350a122f332cb49f0da
    035871a50101020003585fa202818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492
    af1425695e48bf429b2d51f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdef
    fedcba98765432100e1987d0010f020f074382030f0943821702
    """
)


async def test_example_of_the_standard():
    assert await verify_sign1(KEY, ES256, CONTENT, SIGNATURE)
    assert not await verify_sign1(KEY, ES256, CONTENT + b".", SIGNATURE)
    assert not await verify_sign1(KEY, ES256, CONTENT, SIGNATURE, b"more")
    assert not await verify_sign1(SUIT_KEY, ES256, CONTENT, SIGNATURE)
    assert await verify_sign1(memoryview(KEY), memoryview(ES256), memoryview(CONTENT), memoryview(SIGNATURE))


async def test_example_of_suit():
    """The envelope is taken apart as a device does, and its digest and its signature are good."""
    envelope = decode(SUIT, strict=True)
    assert envelope.number == 107
    digest, block = decode(envelope.value[2], strict=True)
    manifest = envelope.value[3]
    assert decode(digest, strict=True) == [-16, hashlib.sha256(dumps(manifest)).digest()]
    sign1 = decode(block, strict=True)
    assert sign1.number == 18
    protected, unprotected, payload, signature = sign1.value
    assert protected == ES256 and decode(protected) == {1: -7} and unprotected == {} and payload is None
    assert await verify_sign1(SUIT_KEY, protected, digest, signature)
    assert not await verify_sign1(SUIT_KEY, protected, digest[:-1] + b"\0", signature)
    assert decode(manifest, strict=True)[2] == 0
    assert dumps(Tag(18, sign1.value)) == block


def sign_with_one(header, payload):
    """The key 1 (so the public key is the generator G) signs with k = 1: r is G's x, s the digest plus r."""
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    digest = hashlib.sha256(sig_structure(header, payload)).digest()
    s = (int.from_bytes(digest, "big") + x) % n
    key, signature = x.to_bytes(32, "big") + y.to_bytes(32, "big"), x.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert verify(key, digest, signature)
    return key, signature


async def test_other_algorithms_are_refused_though_the_signature_is_good():
    key, signature = sign_with_one(ES256, CONTENT)
    assert await verify_sign1(key, ES256, CONTENT, signature)
    # none, an empty map, EdDSA, ES384, ES256 with a kid, and ES256 in an indefinite map
    for text in ("", "a0", "a10127", "a1013822", "a201260440", "bf0126ff"):
        header = unhex(text)
        key, signature = sign_with_one(header, CONTENT)
        assert not await verify_sign1(key, header, CONTENT, signature), text


async def test_malformed():
    assert not await verify_sign1(KEY, ES256, CONTENT, SIGNATURE[:63])
    assert not await verify_sign1(KEY, ES256, CONTENT, b"")
    assert not await verify_sign1(KEY, ES256, CONTENT, bytes(64))
    assert not await verify_sign1(KEY[:63], ES256, CONTENT, SIGNATURE)
    assert not await verify_sign1(bytes(64), ES256, CONTENT, SIGNATURE)


def test_what_is_signed():
    assert sig_structure(ES256, CONTENT) == dumps(["Signature1", ES256, b"", CONTENT])
    for size in (0, 1, 23, 24, 255, 256, 1000, 65535):
        for protected, payload, external in (
            (ES256, bytes(size), b""),
            (bytes(size), b"x", b"y"),
            (b"", b"", bytes(size)),
        ):
            assert sig_structure(protected, payload, external) == dumps(
                ["Signature1", protected, external, payload], 1 << 18
            )
    with raises(ValueError):
        sig_structure(ES256, bytes(65536))


def test_the_example_by_its_parts():
    assert verify(KEY, hashlib.sha256(sig_structure(ES256, CONTENT)).digest(), SIGNATURE)
