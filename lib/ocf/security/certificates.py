"""Whose certificates are trusted. A phase."""

from crypto import x509

from ocf.pstat import RFOTM


async def trust(security, chain):
    """(public key, uuid) of the peer with this chain. Raises ValueError."""
    now = now_of(security)
    if security.pstat.state == RFOTM:
        anchors = list(security.settings.get("mfgtrust", ()))
        anchors += [der for cred in security.creds if cred["usage"] == "mfgtrustca" for der in cred["chain"]]
        return (await x509.verify_chain(chain, anchors, "mfg", now)).public, None
    leaf = await x509.verify_chain(chain, security.authorities(), "identity", now)
    return leaf.public, x509.uuid_of(leaf)


def now_of(security):
    """Unix seconds, or None while the time is not known."""
    now = security.settings.get("now")
    return now() or None if now else None
