"""X.509 for whoever has to trust: chains of certificates, and everything of `crypto.certificate`."""

import hashlib

from port import const

from crypto.certificate import Certificate, attribute, names_host, parse, uuid_of  # noqa: F401
from crypto.der import check
from crypto.verify import verify_async

_DEEPEST = const(4)  # certificates of a chain

# Bits of `key_usage`: the extension's bit 0 is the highest of 16.
_DIGITAL_SIGNATURE = const(0x8000)
_END_ENTITY = const(0x8800)  # digitalSignature and keyAgreement
_KEY_CERT_SIGN = const(0x0400)
_CRL_SIGN = const(0x0200)


async def verify_chain(chain, anchors, purpose, now):
    """The leaf of a chain that ends at an anchor; whoever holds its private key is who it names.

    `chain`: list of DER, leaf first; `anchors`: list of DER of CAs that are trusted; `purpose`: "identity", "role",
    "mfg" (manufacturer) or "server"; `now`: unix seconds, None when the clock is not trusted: then no certificate is
    too old. Raises ValueError(why). One signature takes about a second on an ESP32; the loop goes on meanwhile.
    """
    check(0 < len(chain) <= _DEEPEST, "chain of no or too many certificates")
    leaf = cert = Certificate(chain[0])
    _check_leaf(leaf, purpose, now)
    depth = 0
    while True:
        why = "issuer is not trusted"
        for der in anchors:
            if cert.issuer in der:
                try:
                    await _check_issuer(cert, Certificate(der), depth, now)
                    return leaf
                except ValueError as error:
                    why = str(error)
        check(depth + 1 < len(chain), why)
        issuer = Certificate(chain[depth + 1])
        if purpose == "mfg":
            check(
                issuer.path_len == 0 and (issuer.key_usage or 0) & _CRL_SIGN,
                "wrong CA between manufacturer and device",
            )
        await _check_issuer(cert, issuer, depth, now)
        cert = issuer
        depth += 1


def _check_time(cert, now):
    if now is not None:
        check(cert.not_before <= now, "certificate is not valid yet")
        check(now <= cert.not_after, "certificate has expired")


def _check_leaf(cert, purpose, now):
    """What OCF demands of an end entity; of a plain server, what RFC 5280 demands."""
    _check_time(cert, now)
    usage = cert.key_usage
    ekus = cert.ekus
    good = "1.3.6.1.5.5.7.3.1" in ekus and "2.5.29.37.0" not in ekus  # serverAuth, anyExtendedKeyUsage
    if purpose == "server":
        right = usage is None or usage & _DIGITAL_SIGNATURE
    else:
        right = usage == _END_ENTITY
        identity, role = ["1.3.6.1.4.1.44924.1." + number in ekus for number in "67"]
        wanted = purpose == "role"
        good = good and "1.3.6.1.5.5.7.3.2" in ekus and role == wanted and identity != wanted  # clientAuth
    check(not cert.ca, "leaf is a CA")
    check(right, "wrong key usage")
    check(good, "wrong extended key usage")


async def _check_issuer(cert, issuer, depth, now):
    """That `issuer` may issue and has issued `cert`, which has `depth` CAs between itself and the leaf."""
    check(issuer.subject == cert.issuer, "chain: issuer does not follow")
    check(issuer.ca and (issuer.key_usage or 0) & _KEY_CERT_SIGN, "chain: issuer is not a CA")
    check(issuer.path_len is None or issuer.path_len >= depth, "chain: longer than a CA allows")
    _check_time(issuer, now)
    digest = hashlib.sha256(cert.tbs).digest()
    check(await verify_async(issuer.public, digest, cert.signature), "chain: wrong signature")
