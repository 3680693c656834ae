"""The keys that a handshake makes, and what its Finished hold. A phase of either step."""

from crypto.prf import prf
from port import phase

from dtls.handshake import SUITES
from dtls.record import Cbc


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


def verify_data(master, label, digest):
    """The content of a Finished behind the messages with this hash."""
    return prf(master, label, digest, 12)
