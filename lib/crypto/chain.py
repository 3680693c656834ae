"""A chain of certificates that were read (`crypto.reading`) is judged, all but its signatures: a phase of `crypto.x509`."""

from port import const

# Bits of `key_usage`: the extension's bit 0 is the highest of 16.
_DIGITAL_SIGNATURE = const(0x8000)
_END_ENTITY = const(0x8800)  # digitalSignature and keyAgreement
_KEY_CERT_SIGN = const(0x0400)
_CRL_SIGN = const(0x0200)


def judge(certs, purpose, now):
    """The signatures that have to be verified, of what crypto.reading.read gives. As crypto.x509.verify_chain, for the rest.

    For each certificate, from the leaf on: (digest, signature, [public key of an anchor, or why it is none], the public key
    of the next certificate, or why it cannot be the issuer, or None: there is none).
    """
    _check_leaf(certs[0][0], purpose, now)
    steps = []
    for depth in range(len(certs)):
        cert, anchors = certs[depth]
        roots = [_tried(cert, anchor, depth, now) for anchor in anchors]
        found = None
        if depth + 1 < len(certs):
            issuer = certs[depth + 1][0]
            found = _tried(cert, issuer, depth, now)
            if purpose == "mfg" and not isinstance(issuer, str) and not _between(issuer):
                found = "wrong CA between manufacturer and device"
        steps.append((cert.digest, cert.signature, roots, found))
        if isinstance(found, str):
            break
    return steps


def _between(issuer):
    """Whether it may be between a manufacturer's root and a device."""
    return issuer.path_len == 0 and (issuer.key_usage or 0) & _CRL_SIGN


def _tried(cert, issuer, depth, now):
    """The public key of `issuer`, or why it cannot have issued `cert`: it may be that already."""
    if isinstance(issuer, str):
        return issuer
    try:
        return _issuer(cert, issuer, depth, now)
    except ValueError as error:
        return str(error)


def _check(good, why):
    """ValueError(why) unless `good`: as crypto.der has it, which is not in memory."""
    if not good:
        raise ValueError(why)


def _check_time(cert, now):
    if now is not None:
        _check(cert.not_before <= now, "certificate is not valid yet")
        _check(now <= cert.not_after, "certificate has expired")


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
    _check(not cert.ca, "leaf is a CA")
    _check(right, "wrong key usage")
    _check(good, "wrong extended key usage")


def _issuer(cert, issuer, depth, now):
    """The public key of `issuer`, if it may issue `cert`, which has `depth` CAs between itself and the leaf."""
    _check(issuer.subject == cert.issuer, "chain: issuer does not follow")
    _check(issuer.ca and (issuer.key_usage or 0) & _KEY_CERT_SIGN, "chain: issuer is not a CA")
    _check(issuer.path_len is None or issuer.path_len >= depth, "chain: longer than a CA allows")
    _check_time(issuer, now)
    return issuer.public
