"""X.509 for whoever has to trust: chains of certificates.

What reads them (`crypto.reading`), what judges them (`crypto.chain`) and what verifies signatures take turns in memory.
"""

from port import phase


class Told:
    """What a certificate says, without the code that read it: a `crypto.certificate.Certificate` with `digest` for `tbs`."""

    digest: bytes
    tbs: object
    signature: bytes
    serial: int
    issuer: bytes
    issuer_name: str
    subject: bytes
    name: str
    not_before: int
    not_after: int
    public: bytes
    ca: bool
    path_len: object
    key_usage: object
    ekus: tuple
    roles: tuple
    alt_names: tuple


async def verify_chain(chain, anchors, purpose, now):
    """What the first certificate of a chain says that ends at an anchor; whoever holds its private key is who it names.

    `chain`: list of DER, leaf first; `anchors`: list of DER of CAs that are trusted; `purpose`: "identity", "role",
    "mfg" (manufacturer) or "server"; `now`: unix seconds, None when the clock is not trusted: then no certificate is
    too old. Raises ValueError(why). One signature takes about a second on an ESP32; the loop goes on meanwhile.
    """
    certs = _told(chain, anchors)
    leaf = certs[0][0]
    certs = _judged(certs, purpose, now)  # by what nothing else of them is kept
    await _verify(certs)
    return leaf


def _told(chain, anchors):
    with phase("crypto.reading") as code:
        return code.read(Told, chain, anchors)


def _judged(certs, purpose, now):
    with phase("crypto.chain") as code:
        return code.judge(certs, purpose, now)


async def _verify(steps):
    with phase("crypto.verify") as code:
        for digest, signature, roots, issuer in steps:
            why = "issuer is not trusted"
            for root in roots:
                if isinstance(root, str):
                    why = root
                elif await code.verify_async(root, digest, signature):
                    return
                else:
                    why = "chain: wrong signature"
            if not isinstance(issuer, bytes):
                raise ValueError(issuer or why)
            if not await code.verify_async(issuer, digest, signature):
                raise ValueError("chain: wrong signature")


def uuid_of(cert):
    """The uuid in the CN of a Told or Certificate ("uuid:" and 36 characters) in lower case. Raises ValueError."""
    name = cert.name.lower()
    parts = name[5:].split("-")
    good = name[:5] == "uuid:" and [len(part) for part in parts] == [8, 4, 4, 4, 12]
    if not good or "".join(parts).strip("0123456789abcdef"):
        raise ValueError("CN is no uuid")
    return name[5:]


def names_host(cert, host):
    """Whether a Told or Certificate is for the server `host` (DNS name or IPv4 address).

    subjectAltName alone counts, and no name with an asterisk (RFC 9525 section 6). IPv6 addresses are not known here.
    """
    return host.lower().rstrip(".") in cert.alt_names
