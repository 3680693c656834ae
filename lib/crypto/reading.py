"""A chain of certificates is read, to be judged by `crypto.chain`: a phase of `crypto.x509`."""

import hashlib

from port import const

from crypto.certificate import tell
from crypto.der import check

_DEEPEST = const(4)  # certificates of a chain


def read(make, chain, anchors):
    """[(what a certificate says, [what the anchors say that have the name of its issuer])], from the leaf on.

    `make()` is where it is said (crypto.x509.Told). Of what cannot be read it is said why; after a certificate nothing more
    is read then. Raises ValueError when that is the leaf.
    """
    check(0 < len(chain) <= _DEEPEST, "chain of no or too many certificates")
    found = []
    for der in chain:
        cert = _told(make(), der)
        if isinstance(cert, str):
            check(found, cert)
            found.append((cert, ()))
            break
        found.append((cert, [_told(make(), anchor) for anchor in anchors if cert.issuer in anchor]))
    return found


def _told(cert, der):
    try:
        tell(cert, der)
    except ValueError as error:
        return str(error)
    cert.digest = hashlib.sha256(cert.tbs).digest()
    cert.tbs = None  # all of the certificate
    return cert
