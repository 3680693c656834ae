"""The Device's identity key, and the certificates of peers. A phase."""

from coap.message import Refused
from crypto import csr, pem, x509
from crypto.p256 import key_pair_async
from port import const

from ocf.pstat import RFOTM

_INTERNAL = const(0xA0)
_ROLES = const(4)  # role certificates of one session


async def request(security):
    """A certificate request (PEM) for the identity key, which is made when there is none."""
    data = security.store.load("key") or b""
    uuid = security.uuid
    if len(data) != 96:
        private, public = await key_pair_async(security.random)
        if security.uuid != uuid:
            raise Refused(_INTERNAL, "the Device was reset")
        data = security.store.load("key") or b""
    if len(data) != 96:  # nobody else has made one meanwhile
        data = private + public
        try:
            security.store.save("key", data)
        except OSError as error:
            raise Refused(_INTERNAL, "the key could not be stored: %s" % error)  # noqa: B904
    der = await csr.make(data[:32], data[32:], "uuid:" + uuid)
    return pem.encode("CERTIFICATE REQUEST", der)


async def trust(security, chain):
    """(public key, uuid) of the peer with this chain. Raises ValueError."""
    now = _now(security)
    if security.pstat.state == RFOTM:
        anchors = list(security.settings.get("mfgtrust", ()))
        anchors += [der for cred in security.creds if cred["usage"] == "mfgtrustca" for der in cred["chain"]]
        return (await x509.verify_chain(chain, anchors, "mfg", now)).public, None
    leaf = await x509.verify_chain(chain, security.authorities(), "identity", now)
    return leaf.public, x509.uuid_of(leaf)


async def add_roles(security, session, texts):
    """Give a session the roles of certificate chains (PEM), all of them or none. Raises Refused."""
    found = list(getattr(session, "role_chains", ()))
    proof = security.proof(session, True)
    try:
        for text in texts:
            chain = pem.decode(text)
            if chain in [known for known, _ in found]:
                continue
            if len(found) >= _ROLES:
                raise Refused(0x8D, "too many roles in one session")
            leaf = await x509.verify_chain(chain, security.authorities(), "role", _now(security))
            if x509.uuid_of(leaf) != session.uuid:
                raise ValueError("the certificate is another's")
            if not leaf.roles:
                raise ValueError("the certificate has no role")
            found.append((chain, leaf.roles))
    except ValueError as error:
        raise Refused(0x80, "role certificate: %s" % error)  # noqa: B904
    session.proof = list(session.proof) + [p for p in proof if p not in session.proof]
    set_roles(session, found)


def set_roles(session, found):
    """Leave a session the role certificates `found`, beside the role of its key."""
    session.role_chains = found
    session.roles = tuple(role for _, _, role in session.proof if role)
    for _, roles in found:
        session.roles += roles


def _now(security):
    now = security.settings.get("now")
    return now() or None if now else None
