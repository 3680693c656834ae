"""X.509 certificates (RFC 5280) as OCF uses them: version 3, keys on P-256, ecdsa-with-SHA256, and nothing else.

Extensions that are understood: basicConstraints, keyUsage, extendedKeyUsage, subjectAltName (the roles in it). Another
one is passed over, unless it is critical. Every refusal is a ValueError that says why.
"""

import hashlib

from port import const

from crypto.der import Reader, decode_signature, oid
from crypto.p256 import verify_async

_LONGEST = const(2048)  # bytes of one certificate
_DEEPEST = const(4)  # certificates of a chain
_EXTENSIONS = const(16)

_SEQUENCE = const(0x30)
_SET = const(0x31)
_OID = const(6)
_OCTETS = const(4)

# AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 section 3.2); older Mbed TLS writes a NULL behind the identifier.
SHA256 = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
_WITH_NULL = b"\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00"
# SubjectPublicKeyInfo of an uncompressed point of P-256 up to x (RFC 5480 section 2).
P256 = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"

# Bits of `key_usage`: the extension's bit 0 is the highest of 16.
DIGITAL_SIGNATURE = const(0x8000)
KEY_AGREEMENT = const(0x0800)
KEY_CERT_SIGN = const(0x0400)
CRL_SIGN = const(0x0200)

SERVER = "1.3.6.1.5.5.7.3.1"
CLIENT = "1.3.6.1.5.5.7.3.2"
IDENTITY = "1.3.6.1.4.1.44924.1.6"
ROLE = "1.3.6.1.4.1.44924.1.7"
_ANY = "2.5.29.37.0"

_MONTHS = b"\x1f\x1d\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


class Certificate:
    """What a certificate says; nothing of it is verified yet.

    `public` (x and y, 64 bytes, perhaps not on the curve), `subject` and `issuer` (DER of the Names), `name` (CN of the
    subject, or ""), `not_before` and `not_after` (unix seconds), `serial` (int), `ca` (bool), `path_len` (int or None),
    `key_usage` (bits as above, None when absent), `ekus` (tuple of "1.3.6..."), `roles` (tuple of (authority or "",
    role)), `tbs` (what is signed, a view) and `signature` (64 bytes).
    """

    def __init__(self, der):
        der = bytes(der)
        if len(der) > _LONGEST:
            raise ValueError("certificate is too long")
        outer = Reader(der)
        reader = outer.inside(_SEQUENCE)
        outer.end()
        _tag, self.tbs, content = reader.take(_SEQUENCE)
        algorithm = reader.take(_SEQUENCE)[1]
        if algorithm != SHA256 and algorithm != _WITH_NULL:
            raise ValueError("certificate is not signed with ECDSA and SHA-256")
        unused, signature = reader.bits()
        reader.end()
        if unused:
            raise ValueError("signature is no whole number of bytes")
        self.signature = decode_signature(signature)

        reader = Reader(content)
        if reader.maybe(0xA0) != b"\x02\x01\x02":
            raise ValueError("certificate is not of version 3")
        self.serial = reader.unsigned()
        if reader.take(_SEQUENCE)[1] != algorithm:
            raise ValueError("certificate names two algorithms")
        self.issuer = bytes(reader.take(_SEQUENCE)[1])
        validity = reader.inside(_SEQUENCE)
        self.not_before = _time(validity)
        self.not_after = _time(validity)
        validity.end()
        self.subject = bytes(reader.take(_SEQUENCE)[1])
        self.name = attribute(self.subject)
        key = bytes(reader.take(_SEQUENCE)[1])
        if len(key) != 91 or key[:27] != P256:
            raise ValueError("certificate's key is not on P-256")
        self.public = key[27:]

        self.ca = False
        self.path_len = self.key_usage = None
        self.ekus = self.roles = ()
        extensions = reader.maybe(0xA3)
        reader.end()
        if extensions is not None:
            self._extensions(extensions)

    def _extensions(self, data):
        reader = Reader(data)
        extensions = reader.inside(_SEQUENCE)
        reader.end()
        seen = []
        while extensions.more():
            reader = extensions.inside(_SEQUENCE)
            kind = bytes(reader.read(_OID))
            critical = reader.true()
            value = Reader(reader.read(_OCTETS))
            reader.end()
            if kind in seen or len(seen) == _EXTENSIONS:
                raise ValueError("certificate has an extension twice, or too many")
            seen.append(kind)
            if kind == b"\x55\x1d\x13":  # basicConstraints
                reader = value.inside(_SEQUENCE)
                self.ca = reader.true()
                if self.ca and reader.more():
                    self.path_len = reader.unsigned()
                reader.end()
            elif kind == b"\x55\x1d\x0f":  # keyUsage
                bits = bytes(value.bits()[1]) + b"\0\0"
                self.key_usage = bits[0] << 8 | bits[1]
            elif kind == b"\x55\x1d\x25":  # extendedKeyUsage
                reader = value.inside(_SEQUENCE)
                while reader.more():
                    self.ekus += (oid(reader.read(_OID)),)
            elif kind == b"\x55\x1d\x11":  # subjectAltName
                reader = value.inside(_SEQUENCE)
                while reader.more():
                    tag, _whole, name = reader.take()
                    if tag == 0xA4:  # directoryName
                        role = attribute(name)
                        if role:
                            self.roles += ((attribute(name, 11), role),)
            elif critical:
                raise ValueError("certificate has a critical extension that is not understood")
            else:
                continue
            value.end()


parse = Certificate


def attribute(name, number=3):
    """The text of an attribute 2.5.4.`number` of a Name (DER), or "": 3 is CN, 11 is OU.

    ValueError also when there are two: who issues a certificate may have looked at the other.
    """
    found = ""
    outer = Reader(name)
    names = outer.inside(_SEQUENCE)
    outer.end()
    while names.more():
        pairs = names.inside(_SET)
        while pairs.more():
            pair = pairs.inside(_SEQUENCE)
            kind = pair.read(_OID)
            tag, _whole, value = pair.take()
            pair.end()
            # UTF8String, PrintableString, TeletexString, IA5String
            if kind == bytes((0x55, 4, number)) and tag in (12, 19, 20, 22):
                if found:
                    raise ValueError("name has an attribute twice")
                found = str(value, "utf-8")
    return found


def _time(reader):
    """Unix seconds of a UTCTime or GeneralizedTime in the form of RFC 5280 section 4.1.2.5."""
    tag, _whole, value = reader.take()
    digits = bytes(value[:-1])
    if tag == 23:
        digits = (b"20" if digits < b"5" else b"19") + digits
    if tag not in (23, 24) or len(digits) != 14 or not digits.isdigit() or value[-1] != 90:
        raise ValueError("certificate has no proper time")
    year = int(digits[:4])
    month, day, hour, minute, second = [int(digits[i : i + 2]) for i in range(4, 14, 2)]
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (0 < month < 13 and 0 < day <= _MONTHS[month - 1] and hour < 24 and minute < 60 and second < 60) or (
        month == 2 and day == 29 and not leap
    ):
        raise ValueError("certificate has no proper time")
    # Years begin in March here, so that the day that comes and goes is the last one.
    if month < 3:
        year -= 1
        month += 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def uuid_of(cert):
    """The uuid in the certificate's CN ("uuid:" and 36 characters) in lower case. Raises ValueError."""
    name = cert.name.lower()
    if name[:5] != "uuid:" or len(name) != 41:
        raise ValueError("certificate names no uuid")
    for i, c in enumerate(name[5:]):
        if c not in ("-" if i in (8, 13, 18, 23) else "0123456789abcdef"):
            raise ValueError("certificate names no uuid")
    return name[5:]


async def verify_chain(chain, anchors, purpose, now):
    """The leaf of a chain that ends at an anchor; whoever holds its private key is who it names.

    `chain`: list of DER, leaf first; `anchors`: list of DER of CAs that are trusted; `purpose`: "identity", "role",
    "mfg" (manufacturer) or "server"; `now`: unix seconds, None when the clock is not trusted: then no certificate is
    too old. Raises ValueError(why). One signature takes about a second on an ESP32; the loop goes on meanwhile.
    """
    if not 0 < len(chain) <= _DEEPEST:
        raise ValueError("chain has no certificate, or too many")
    leaf = cert = Certificate(chain[0])
    _check_leaf(leaf, purpose, now)
    depth = 0
    while True:
        why = "certificate is not from a CA that is trusted"
        for der in anchors:
            if cert.issuer in der:
                try:
                    await _check_issuer(cert, Certificate(der), depth, now)
                    return leaf
                except ValueError as error:
                    why = str(error)
        if depth + 1 == len(chain):
            raise ValueError(why)
        issuer = Certificate(chain[depth + 1])
        if purpose == "mfg" and (depth or issuer.path_len != 0 or not (issuer.key_usage or 0) & CRL_SIGN):
            raise ValueError("intermediate CA is not one for manufacturers")
        await _check_issuer(cert, issuer, depth, now)
        cert = issuer
        depth += 1


def _check_time(cert, now):
    if now is not None and not cert.not_before <= now <= cert.not_after:
        raise ValueError("certificate has expired" if now > cert.not_after else "certificate is not valid yet")


def _check_leaf(cert, purpose, now):
    """What OCF demands of an end entity; of a plain server, what RFC 5280 demands."""
    _check_time(cert, now)
    if cert.ca:
        raise ValueError("certificate is a CA's")
    usage = cert.key_usage
    needed = [SERVER]
    refused = [_ANY]
    if purpose == "server":
        good = usage is None or usage & DIGITAL_SIGNATURE
    else:
        good = usage == DIGITAL_SIGNATURE | KEY_AGREEMENT
        role = purpose == "role"
        needed += [CLIENT, ROLE if role else IDENTITY]
        refused.append(IDENTITY if role else ROLE)
    if not good:
        raise ValueError("certificate's key usage is wrong")
    for eku in needed:
        if eku not in cert.ekus:
            raise ValueError("certificate lacks the extended key usage " + eku)
    for eku in refused:
        if eku in cert.ekus:
            raise ValueError("certificate must not have the extended key usage " + eku)


async def _check_issuer(cert, issuer, depth, now):
    """That `issuer` may issue and has issued `cert`, which has `depth` CAs between itself and the leaf."""
    if issuer.subject != cert.issuer:
        raise ValueError("chain is not in order: the issuer of a certificate does not follow it")
    if not issuer.ca or not (issuer.key_usage or 0) & KEY_CERT_SIGN:
        raise ValueError("issuer is not a CA")
    if issuer.path_len is not None and issuer.path_len < depth:
        raise ValueError("chain is longer than a CA in it allows")
    _check_time(issuer, now)
    if not await verify_async(issuer.public, hashlib.sha256(cert.tbs).digest(), cert.signature):
        raise ValueError("signature of a certificate is wrong")
