"""DTLS as the tools use it: credentials for lib/dtls, and its errors in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Phases on a device; here they stay, for another thread may be using them.
import coap.transfer  # noqa: F401
import crypto.chain  # noqa: F401
import crypto.ecdh  # noqa: F401
import crypto.ecdsa  # noqa: F401
import crypto.p256  # noqa: F401
import crypto.reading  # noqa: F401
import crypto.verify  # noqa: F401
import dtls.certificates  # noqa: F401
import dtls.client  # noqa: F401
import dtls.inbox  # noqa: F401
import dtls.server  # noqa: F401
import port.group  # noqa: F401
from crypto import certificate, pem, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_der_x509_certificate
from dtls.alert import Alert

from fargo.console import CONNECTION, REFUSED, Failure
from fargo.identity import Identity, raw

JUST_WORKS, ECDHE_PSK, PSK_CCM_8, ECDSA_CCM_8, ECDSA_CCM = 0xFF00, 0xC037, 0xC0A8, 0xC0AE, 0xC0AC
SECURE_PORT = 5684
DATAGRAM = 1500

_ALERTS = {  # RFC 5246 section 7.2, RFC 4279 section 6
    20: "the keys of both sides differ",
    40: "no way to secure the connection suits both sides",
    42: "a certificate was refused",
    43: "a certificate was refused",
    45: "a certificate has expired",
    46: "a certificate was refused",
    48: "the certificate's authority is not trusted",
    51: "the keys of both sides differ",
    115: "it does not know this identity",
}


def explain(error: OSError, where: str, hint: str = "", refused: str = "") -> Failure:
    """A handshake that failed, in words; `refused`: why we refused the device's certificate."""
    if isinstance(error, Alert):
        why = (refused if not error.received else "") or _ALERTS.get(error.code, f"alert {error.code}")
        side = "the device refused" if error.received else "refused"
        return Failure(f"no secured connection with {where}: {side}: {why}", hint, REFUSED)
    return Failure(
        f"no secured connection with {where}: no answer", hint or "Is the device on, and on this network?", CONNECTION
    )


class Credentials:
    """The `credentials` of lib/dtls for a Client with this identity; `device` is the UUID of whom it speaks with."""

    refused = ""  # why a certificate was

    def __init__(self, identity: Identity, device: str = "") -> None:
        self.identity = identity
        self.device = device

    def suites(self) -> tuple[int, ...]:
        """What is offered."""
        return (ECDHE_PSK,)

    def psk_for(self, hint: bytes, _address: Any) -> tuple[bytes, bytes, str] | None:
        """The key of the device that names itself so, or says nothing."""
        known = self.identity.find(hint) if hint else self.identity.devices.get(self.device)
        return (self.identity.raw, known.key, known.uuid) if known else None

    def certificate(self) -> None:
        """None so far."""
        return

    async def trust(self, _chain: list[bytes]) -> tuple[bytes, str]:
        """Devices are known by their keys."""
        raise ValueError("certificates are not expected")

    def opened(self, _session: Any) -> None:
        """Nothing hangs on it."""

    closed = opened


class JustWorks(Credentials):
    """For the onboarding connection of Just Works: nobody proves anything."""

    def suites(self) -> tuple[int, ...]:
        """OCF's anonymous suite alone."""
        return (JUST_WORKS,)


class Pin(Credentials):
    """For the onboarding connection with the PIN that the device shows; `key` is what PBKDF2 makes of it."""

    IDENTITY = b"oic.sec.doxm.rdp"

    def __init__(self, identity: Identity, key: bytes) -> None:
        super().__init__(identity)
        self.key = key

    def psk_for(self, hint: bytes, _address: Any) -> tuple[bytes, bytes, str] | None:
        """The PIN's."""
        return (self.IDENTITY, self.key, "") if hint.startswith(self.IDENTITY) else None


class Manufacturer(Credentials):
    """For the onboarding connection with manufacturer certificates: `anchors` are whom we believe, `own` is what we show."""

    def __init__(self, identity: Identity, anchors: list[bytes], own: tuple[list[bytes], bytes]) -> None:
        super().__init__(identity)
        self.anchors = anchors
        self.own = own

    def suites(self) -> tuple[int, ...]:
        """Those with certificates."""
        return ECDSA_CCM_8, ECDSA_CCM

    def certificate(self) -> tuple[list[bytes], bytes]:  # type: ignore[override]
        """Chain and private key."""
        return self.own

    async def trust(self, chain: list[bytes]) -> tuple[bytes, str]:
        """The device's key. Raises ValueError."""
        try:
            return (await x509.verify_chain(chain, self.anchors, "mfg", int(time.time()))).public, ""
        except ValueError as error:
            self.refused = f"its certificate: {error}"
            raise


class ServerCredentials:
    """The `credentials` of lib/dtls for a release server: a certificate for its name, and keys shared with devices.

    `chain` and `private` as in docs/architecture.md. `keys`: UUID of a device -> key; `uuid` is then the server's own. A
    device that shows a certificate is not asked who it is: releases are for everybody who may have them.
    """

    def __init__(
        self, chain: list[bytes], private: bytes, keys: dict[str, bytes] | None = None, uuid: str = ""
    ) -> None:
        self.own = chain, private
        self.keys = {
            name: (key, device) for device, key in (keys or {}).items() for name in (raw(device), device.encode())
        }
        self.uuid = uuid

    def suites(self) -> tuple[int, ...]:
        """Certificates first, since every device was provisioned with the authority."""
        return (ECDSA_CCM_8, ECDSA_CCM) + ((ECDHE_PSK, PSK_CCM_8) if self.keys else ())

    def hint(self) -> bytes:
        """By it a device finds the key."""
        return raw(self.uuid) if self.uuid else b""

    def psk(self, identity: bytes) -> tuple[bytes, str] | None:
        """The key of the device of this name."""
        return self.keys.get(identity)

    def certificate(self) -> tuple[list[bytes], bytes]:
        """Chain and private key."""
        return self.own

    async def trust(self, chain: list[bytes]) -> tuple[bytes | None, None]:
        """Whoever holds the key of the certificate, or nobody in particular."""
        return (certificate.parse(chain[0]).public if chain else None), None

    def opened(self, _session: Any) -> None:
        """Nothing hangs on it."""

    closed = opened


def read_chain(path: Path) -> list[bytes]:
    """The certificates of a PEM file. Raises Failure."""
    try:
        return list(pem.decode(path.read_bytes()))
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(f"{path} holds no certificate: {error}") from None


def read_own_chain(path: Path) -> list[bytes]:
    """As read_chain, for certificates that are to be shown: they must not be out of date."""
    chain = read_chain(path)
    now = datetime.now(UTC)
    for der in chain:
        try:
            end = load_der_x509_certificate(der).not_valid_after_utc
        except ValueError as error:
            raise Failure(f"{path} holds no certificate: {error}") from None
        if end < now:
            raise Failure(
                f"a certificate in {path} has expired ({end:%Y-%m-%d})", "Have its authority make a new one."
            )
    return chain


def read_key(path: Path) -> bytes:
    """The private key (32 bytes) of a PEM file. Raises Failure."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise Failure(f"{path} holds no private key without passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Failure(f"{path} is not a P-256 key")
    return key.private_numbers().private_value.to_bytes(32, "big")
