"""Certificates for tests, made with the package `cryptography`: parties with throwaway keys."""

import datetime
import itertools

from cryptography import x509 as peer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)  # certificates of tests are good today
DAY = datetime.timedelta(days=1)
SERVER, CLIENT = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
IDENTITY, ROLE, ANY = "1.3.6.1.4.1.44924.1.6", "1.3.6.1.4.1.44924.1.7", "2.5.29.37.0"
BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
END_ENTITY = ("digital_signature", "key_agreement")
AUTHORITY = ("key_cert_sign", "crl_sign")
DEFAULT = object()
serials = itertools.count(1)


def name(common=None, unit=None, **more):
    pairs = [(NameOID.COMMON_NAME, common), (NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]
    pairs += [(getattr(NameOID, key), value) for key, value in more.items()]
    return peer.Name([peer.NameAttribute(kind, value) for kind, value in pairs if value is not None])


def key_usage(bits):
    return peer.KeyUsage(**{bit: bit in bits for bit in BITS})


def bytes_of(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


class Party:
    """A key and the certificate that `issuer` (None: itself) has given for it."""

    def __init__(
        self,
        subject,
        issuer=None,
        ca=False,
        path_len=None,
        usage=DEFAULT,
        ekus=(SERVER, CLIENT, IDENTITY),
        roles=(),
        begin=NOW - DAY,
        end=NOW + DAY,
        key=None,
        extra=(),
        constraints=True,
        algorithm=None,
        serial=None,
    ):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.subject = subject if isinstance(subject, peer.Name) else name(subject)
        issuer = issuer or self
        builder = (
            peer.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(serial or next(serials))
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        if constraints:
            builder = builder.add_extension(peer.BasicConstraints(ca, path_len), critical=True)
        usage = (AUTHORITY if ca else END_ENTITY) if usage is DEFAULT else usage
        if usage is not None:
            builder = builder.add_extension(key_usage(usage), critical=True)
        if ekus and not ca:
            builder = builder.add_extension(peer.ExtendedKeyUsage([peer.ObjectIdentifier(e) for e in ekus]), False)
        if roles:
            names = [peer.DirectoryName(name(role, authority)) for authority, role in roles]
            builder = builder.add_extension(peer.SubjectAlternativeName([peer.DNSName("a.example"), *names]), False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        self.certificate = builder.sign(issuer.key, algorithm or hashes.SHA256())
        self.der = bytes_of(self.certificate)


ROOT = Party("Root", ca=True)
MIDDLE = Party("Middle", ROOT, ca=True, path_len=0)
LEAF = Party("uuid:" + UUID, MIDDLE)
