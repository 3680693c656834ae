"""Release keys: P-256, as PEM files that only their owner can read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fargo.console import Failure


def new(path: Path, passphrase: str = "") -> ec.EllipticCurvePrivateKey:
    """Make a key and keep it in `path` (mode 0600). Raises Failure when there is a file already."""
    key = ec.generate_private_key(ec.SECP256R1())
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failure(f"{path} exists already", "a key is never overwritten: choose another name") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key


def load(path: Path, passphrase: str = "") -> ec.EllipticCurvePrivateKey:
    """The key in `path`. Raises Failure when it cannot be read, or is of another kind."""
    try:
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, passphrase.encode() or None)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "make a key with: fargo key new") from None
    except TypeError:
        what = "has no passphrase, and one is given" if passphrase else "has a passphrase, and none is given"
        raise Failure(f"{path} {what}", "see --passphrase-env") from None
    except ValueError:
        raise Failure(f"{path} is no private key, or the passphrase is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Failure(f"{path} is not a P-256 key", "releases are signed with ES256")
    return key


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key in `path`, which may also hold a private one without passphrase. Raises Failure."""
    try:
        pem = path.read_bytes()
        if b"PRIVATE" in pem:
            return load(path).public_key()
        key = serialization.load_pem_public_key(pem)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Failure(f"{path} is no key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Failure(f"{path} is not a P-256 key")
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """The public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def raw(key: ec.EllipticCurvePublicKey) -> bytes:
    """x and y, 64 bytes: what a device is provisioned with."""
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return point[1:]


def from_raw(data: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of x and y, 64 bytes. Raises ValueError."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + data)


def kid(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key's identifier: the first 8 bytes of the SHA-256 of its 64 bytes."""
    return hashlib.sha256(raw(key)).digest()[:8]
