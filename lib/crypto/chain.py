"""A chain of certificates is read and judged, all but its signatures: a phase of `crypto.x509`, which has those verified."""

import hashlib

from port import const

from crypto.certificate import Certificate
from crypto.der import check

_DEEPEST = const(4)  # certificates of a chain

# Bits of `key_usage`: the extension's bit 0 is the highest of 16.
_DIGITAL_SIGNATURE = const(0x8000)
_END_ENTITY = const(0x8800)  # digitalSignature and keyAgreement
_KEY_CERT_SIGN = const(0x0400)
_CRL_SIGN = const(0x0200)


def judge(leaf, chain, anchors, purpose, now):
    """Fill in `leaf` (crypto.x509.Leaf): the signatures that have to be verified. As crypto.x509.verify_chain, for the rest.

    For each certificate, from the leaf on: (digest, signature, [public key of an anchor, or why it is none], the public key
    of the next certificate, or why it cannot be the issuer, or None: there is none).
    """
    check(0 < len(chain) <= _DEEPEST, "chain of no or too many certificates")
    cert = Certificate(chain[0])
    _check_leaf(cert, purpose, now)
    leaf.public, leaf.name, leaf.alt_names, leaf.roles = cert.public, cert.name, cert.alt_names, cert.roles
    steps = []
    for depth in range(len(chain)):
        roots = []
        for der in anchors:
            if cert.issuer in der:
                try:
                    roots.append(_issuer(cert, Certificate(der), depth, now))
                except ValueError as error:
                    roots.append(str(error))
        found = issuer = None
        if depth + 1 < len(chain):
            try:
                issuer = Certificate(chain[depth + 1])
                if purpose == "mfg":
                    check(
                        issuer.path_len == 0 and (issuer.key_usage or 0) & _CRL_SIGN,
                        "wrong CA between manufacturer and device",
                    )
                found = _issuer(cert, issuer, depth, now)
            except ValueError as error:
                found = str(error)
        steps.append((hashlib.sha256(cert.tbs).digest(), cert.signature, roots, found))
        if isinstance(found, str):
            break
        cert = issuer
    return steps


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


def _issuer(cert, issuer, depth, now):
    """The public key of `issuer`, if it may issue `cert`, which has `depth` CAs between itself and the leaf."""
    check(issuer.subject == cert.issuer, "chain: issuer does not follow")
    check(issuer.ca and (issuer.key_usage or 0) & _KEY_CERT_SIGN, "chain: issuer is not a CA")
    check(issuer.path_len is None or issuer.path_len >= depth, "chain: longer than a CA allows")
    _check_time(issuer, now)
    return issuer.public
