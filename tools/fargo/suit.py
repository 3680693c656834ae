"""SUIT envelopes in Fargo's profile (docs/release-format.md), as the device's swupdate.install.manifest reads them."""

from __future__ import annotations

from dataclasses import dataclass

import cbor
from cbor import Pairs
from cbor.decoder import Tag, decode
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from swupdate.install import envelope as sealed
from swupdate.install import manifest as profile

from fargo import keys

SHA_256 = -16
ES256 = -7
PROTECTED = cbor.dumps({1: ES256})
LIMIT = 65536


@dataclass(frozen=True)
class Form:
    """A payload in windows, of so many bytes each; for devices that have the payload `base`, when that is not empty."""

    uri: str
    lengths: bytes
    base: bytes = b""


@dataclass(frozen=True)
class Part:
    """One component of a release: `half` "fw" or "app", or "trust", which has no table."""

    half: str
    size: int
    digest: bytes
    uri: str
    table: bytes = b""
    table_uri: str = ""
    bytecode: int = 0
    forms: tuple[Form, ...] = ()


def _sequence(*commands: object) -> bytes:
    return cbor.dumps(list(commands), LIMIT)


def _digest(value: bytes) -> bytes:
    return cbor.dumps([SHA_256, value])


def manifest(
    version: str, sequence: int, vendor: bytes, class_id: bytes, parts: list[Part], built: int, expires: int = 0
) -> bytes:
    """The manifest as CBOR."""
    shared: list[object] = []
    install: list[object] = []
    validate: list[object] = []
    for index, part in enumerate(parts):
        parameters: list[tuple[int, object]] = [
            (1, vendor),
            (2, class_id),
            (3, _digest(part.digest)),
            (14, part.size),
        ]
        if part.table:
            parameters += [(profile.P_TABLE, part.table), (profile.P_TABLE_URI, part.table_uri)]
        if index == 0:
            parameters += [(profile.P_VERSION, version), (profile.P_BUILT, built)]
            if expires:
                parameters.append((profile.P_EXPIRES, expires))
        if part.bytecode:
            parameters.append((profile.P_BYTECODE, part.bytecode))
        if part.forms:
            forms = [[form.uri, form.lengths, *([form.base] if form.base else [])] for form in part.forms]
            parameters.append((profile.P_FORMS, forms))
        shared += [12, index, 20, Pairs(parameters), 1, 15, 2, 15]
        install += [12, index, 20, {21: part.uri}, 21, 2, 3, 15]
        validate += [12, index, 3, 15]
    common = Pairs([(2, [[part.half.encode()] for part in parts]), (4, _sequence(*shared))])
    return cbor.dumps(
        Pairs(
            [
                (1, 1),
                (2, sequence),
                (3, cbor.dumps(common, LIMIT)),
                (7, _sequence(*validate)),
                (20, _sequence(*install)),
            ]
        ),
        LIMIT,
    )


def envelope(data: bytes, signatures: list[bytes]) -> bytes:
    """The envelope of the manifest `data`; `signatures` are encoded COSE_Sign1 structures."""
    blocks = [_digest(sealed.digest(data)), *signatures]
    return cbor.dumps(Tag(107, Pairs([(2, cbor.dumps(blocks, LIMIT)), (3, data)])), LIMIT)


def opened(data: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """(manifest, SUIT_Digest, encoded signatures) of an envelope, signed or not. Raises ValueError."""
    outer = decode(data, strict=True)
    if isinstance(outer, Tag) and outer.number == 107 and isinstance(outer.value, dict) and set(outer.value) == {2, 3}:
        manifest, authentication = outer.value[3], outer.value[2]
        if isinstance(manifest, bytes) and isinstance(authentication, bytes):
            blocks = decode(authentication, strict=True)
            if isinstance(blocks, list) and blocks and all(isinstance(block, bytes) for block in blocks):
                return manifest, blocks[0], blocks[1:]
    raise ValueError("this is no release envelope")


def to_be_signed(protected: bytes, digest: bytes) -> bytes:
    """The Sig_structure (RFC 9052 section 4.4) of a SUIT_Digest."""
    return cbor.dumps(["Signature1", protected, b"", digest])


def sign(digest: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A COSE_Sign1 (RFC 9052) over the SUIT_Digest `digest`, detached."""
    r, s = decode_dss_signature(key.sign(to_be_signed(PROTECTED, digest), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor.dumps(Tag(18, [PROTECTED, {4: keys.kid(key.public_key())}, None, signature]))


def signers(signatures: list[bytes]) -> list[bytes]:
    """The kid of each signature, which is not verified. Raises swupdate's Fault."""
    return [sealed.signature(block)[0] for block in signatures]
