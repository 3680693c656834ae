"""X.509 certificates (RFC 5280) as OCF uses them: version 3, keys on P-256, ecdsa-with-SHA256, and nothing else.

Extensions that are understood: basicConstraints, keyUsage, extendedKeyUsage, subjectAltName (roles and hosts). Another
one is passed over, unless it is critical. Every refusal is a ValueError that says why. Who may have issued what is
in `crypto.chain`.
"""

from port import const

from crypto.der import P256, SHA256, check, decode_signature, oid, only

_LONGEST = const(2048)  # bytes of one certificate
_EXTENSIONS = const(16)


class Certificate:
    """What a certificate says; nothing of it is verified yet.

    `public` (x and y, 64 bytes, perhaps not on the curve), `subject` and `issuer` (DER of the Names), `name` and
    `issuer_name` (their CNs, or ""), `not_before` and `not_after` (unix seconds), `serial` (int), `ca` (bool),
    `path_len` (int or None), `key_usage` (16 bits: 0x8000 is the extension's bit 0, digitalSignature; None when absent),
    `ekus` (tuple of "1.3.6..."), `roles` (tuple of (authority or "", role)), `alt_names` (tuple of DNS names and IPv4
    addresses), `tbs` (what is signed, a view) and `signature` (64 bytes). A role without an authority is one of the issuer.
    """

    def __init__(self, der):
        tell(self, der)


parse = Certificate


def tell(cert, der):
    """Say as attributes of `cert` what the certificate `der` says. Raises ValueError."""
    der = bytes(der)
    check(len(der) <= _LONGEST, "certificate is too long")
    outer = only(der)
    cert.tbs = outer.take(0x30)[1]
    algorithm = outer.whole()
    # Older Mbed TLS writes a NULL behind the identifier.
    check(algorithm in (SHA256, b"\x30\x0c" + SHA256[2:] + b"\x05\x00"), "not signed with ECDSA and SHA-256")
    unused, signature = outer.bits()
    outer.end()
    check(not unused)
    cert.signature = decode_signature(signature)

    reader = only(cert.tbs)
    check(reader.maybe(0xA0) == b"\x02\x01\x02", "not X.509 version 3")
    cert.serial = reader.unsigned()
    check(reader.whole() == algorithm)
    cert.issuer = reader.whole()
    cert.issuer_name = attribute(cert.issuer)
    validity = reader.inside()
    cert.not_before = _time(validity)
    cert.not_after = _time(validity)
    validity.end()
    cert.subject = reader.whole()
    cert.name = attribute(cert.subject)
    key = reader.whole()
    check(key[:27] == P256, "key is not on P-256")
    cert.public = key[27:]

    cert.ca = False
    cert.path_len = cert.key_usage = None
    cert.ekus = cert.roles = cert.alt_names = ()
    extensions = reader.maybe(0xA3)
    reader.end()
    if extensions is None:
        return
    seen = []
    extensions = only(extensions)
    while extensions.more():
        outer = extensions.inside()
        kind = bytes(outer.read(6))
        critical = outer.true()
        value = outer.inside(4)
        outer.end()
        check(kind not in seen and len(seen) < _EXTENSIONS, "extension twice, or too many")
        seen.append(kind)
        number = kind[2] if kind[:2] == b"\x55\x1d" and len(kind) == 3 else 0  # 2.5.29.number
        if number == 15:  # keyUsage
            bits = bytes(value.bits()[1]) + b"\0\0"
            cert.key_usage = bits[0] << 8 | bits[1]
        elif number in (17, 19, 37):
            reader = value.inside()
            if number == 19:  # basicConstraints
                cert.ca = reader.true()
                if cert.ca and reader.more():
                    cert.path_len = reader.unsigned()
                reader.end()
            while reader.more():
                tag, _whole, content = reader.take()
                if number == 37:  # extendedKeyUsage
                    check(tag == 6)
                    cert.ekus += (oid(content),)
                elif tag == 0xA4:  # subjectAltName, directoryName
                    role = attribute(content)
                    if role:
                        cert.roles += ((attribute(content, 11), role),)
                elif tag == 0x82:  # dNSName
                    cert.alt_names += (str(content, "utf-8").lower(),)
                elif tag == 0x87 and len(content) == 4:  # iPAddress
                    cert.alt_names += ("%d.%d.%d.%d" % tuple(content),)
        else:
            check(not critical, "unknown critical extension")
            continue
        value.end()


def attribute(name, number=3):
    """The text of an attribute 2.5.4.`number` of a Name (DER), or "": 3 is CN, 11 is OU.

    ValueError also when there are two: who issues a certificate may have looked at the other.
    """
    found = ""
    names = only(name)
    while names.more():
        pairs = names.inside(0x31)
        while pairs.more():
            pair = pairs.inside()
            kind = pair.read(6)
            tag, _whole, value = pair.take()
            pair.end()
            # UTF8String, PrintableString, TeletexString, IA5String
            if kind == bytes((0x55, 4, number)) and tag in (12, 19, 20, 22):
                check(not found, "name: attribute twice")
                found = str(value, "utf-8")
    return found


def _time(reader):
    """Unix seconds of a UTCTime or GeneralizedTime in the form of RFC 5280 section 4.1.2.5."""
    tag, _whole, value = reader.take()
    digits = bytes(value[:-1])
    if tag == 23:
        digits = (b"20" if digits < b"5" else b"19") + digits
    check(tag in (23, 24) and len(digits) == 14 and digits.isdigit() and value[-1] == 90)
    year = int(digits[:4])
    month, day, hour, minute, second = [int(digits[i : i + 2]) for i in range(4, 14, 2)]
    last = 30 + (month + month // 8) % 2 - (month == 2) * (1 if year % 4 == 0 else 2)
    check(0 < month < 13 and 0 < day <= last and hour < 24 and minute < 60 and second < 60)
    # Years begin in March here, so that the day that comes and goes is the last one.
    if month < 3:
        year -= 1
        month += 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second
