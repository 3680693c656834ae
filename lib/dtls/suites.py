"""The cipher suites, and the keys that a handshake makes for them. In its phase."""

from crypto.prf import prf
from port import const, phase

from dtls.record import Cbc

# Key exchange
_ECDHE = const(1)
_PSK = const(2)
_BY_CERTIFICATE = const(4)
# Number -> (key exchange, length of the CCM authenticator, or 0: CBC with HMAC-SHA256)
SUITES = {
    0xFF00: (_ECDHE, 0),  # ECDH_anon, AES_128_CBC_SHA256: a private number of OCF's
    0xC037: (_ECDHE | _PSK, 0),  # RFC 5489
    0xC0A8: (_PSK, 8),  # RFC 6655
    0xC0AE: (_ECDHE | _BY_CERTIFICATE, 8),  # RFC 7251
    0xC0AC: (_ECDHE | _BY_CERTIFICATE, 16),
}


def derive(session, premaster, transcript, server):
    """Give `session` its keys of epoch 1. `transcript`: hash for the extended master secret (RFC 7627), or None: the
    older way."""
    randoms = session.randoms
    if transcript is None:
        session.master = prf(premaster, b"master secret", randoms[32:] + randoms[:32], 48)
    else:
        session.master = prf(premaster, b"extended master secret", transcript, 48)
    tag = SUITES[session.suite][1]
    session.block = 40 if tag else 96
    keys = prf(session.master, b"key expansion", randoms, session.block)
    if tag:
        aead = phase("dtls.aead").__enter__()  # never left: the sessions outlive the handshake, and others will come
        sides = [aead.Aead(keys[16 * i : 16 * i + 16], keys[32 + 4 * i : 36 + 4 * i], tag) for i in (0, 1)]
    else:
        sides = [Cbc(keys[32 * i : 32 * i + 32], keys[64 + 16 * i : 80 + 16 * i]) for i in (0, 1)]
    session.read, session.write = sides if server else sides[::-1]
