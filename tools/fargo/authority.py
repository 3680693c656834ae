"""The certificate authority of our own release server.

Devices are provisioned with its certificate (`ca_der`) and so trust the server, whatever its address. It is no trust
anchor for releases: those are signed with other keys.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fargo.console import Failure

CA_DAYS = 3650
SERVER_DAYS = 397
_BACKDATED = timedelta(days=1)  # for clocks that are a little behind


class Authority:
    """A P-256 certificate authority kept in `folder`, made on first use; keys are readable by their owner only.

    Raises Failure when the folder holds something that is no authority of ours.
    """

    def __init__(self, folder: Path | str, name: str = "Fargo release server CA", days: int = CA_DAYS) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_path, certificate_path = self.folder / "ca.key", self.folder / "ca.pem"
        if key_path.exists() and certificate_path.exists():
            self._key, self.certificate = _load(key_path, certificate_path)
            return
        if key_path.exists() or certificate_path.exists():
            raise Failure(
                f"{self.folder} holds only one of ca.key and ca.pem",
                "Restore the other, or choose another folder; devices must then be given the new authority.",
            )
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._make_ca(name, days)
        _write(key_path, _private_pem(self._key), 0o600)
        _write(certificate_path, self.certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def ca_der(self) -> bytes:
        """The authority's certificate, DER: what a device is provisioned with."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def server(self, names: Iterable[str], days: int = SERVER_DAYS) -> tuple[Path, Path]:
        """Issue a certificate for a server of these host names and addresses; paths of certificate and key (PEM)."""
        names = list(dict.fromkeys(names))
        if not names:
            raise ValueError("a server certificate needs at least one name")
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        end = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _BACKDATED, self.certificate.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        certificate_path, key_path = self.folder / "server.pem", self.folder / "server.key"
        _write(key_path, _private_pem(key), 0o600)
        _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return certificate_path, key_path

    def _make_ca(self, name: str, days: int) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        public = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _usage(digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(key_path: Path, certificate_path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except (ValueError, TypeError) as exc:
        raise Failure(f"{key_path.parent} holds no readable certificate authority: {exc}") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Failure(f"ca.key and ca.pem in {key_path.parent} do not belong together", "Restore the right pair.")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise Failure(
            f"the certificate authority in {key_path.parent} has expired",
            "Make a new one in another folder, and give it to the devices by a release.",
        )
    return key, certificate


def _write(path: Path, data: bytes, mode: int) -> None:
    """Never readable by others, not even for a moment, and never half-written."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(new, path)
