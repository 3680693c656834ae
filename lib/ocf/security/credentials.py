"""What a handshake asks for, and whether all credentials are there. A phase: Security's methods of the same names."""

from port import const

from ocf.pstat import NIL, RFOTM
from ocf.uuids import raw

_SELF = const(4)
_PSK = const(1)
_PIN_IDENTITY = const(b"oic.sec.doxm.rdp")


def guard(s, state):
    """Why the Device may not enter RFPRO, RFNOP or SRESET, or None."""
    if not s.owned or NIL in (s.devowner, s.uuid):
        return "the Device is not owned"
    for owner in (s.rowner, s.cred_owner, s.acl_owner, s.pstat.rowneruuid):
        if owner == NIL or not any(cred["subject"] == owner for cred in s.creds):
            return "a rowneruuid has no credential"
    return None


def hint(s):
    """The PSK identity hint."""
    own = raw(s.uuid)
    return _PIN_IDENTITY + b":" + own if s.pstat.state == RFOTM else own


def psk(s, identity):
    """(key, uuid) for the Client that names itself so, or None."""
    if s.pstat.state == RFOTM:
        if not s.pin_key or identity != _PIN_IDENTITY:
            return None
        s.pin_tries -= 1
        if s.pin_tries < 0:  # somebody guesses: another PIN has to be asked for
            s.pin_key = None
            s.oxmsel = _SELF
            return None
        return s.pin_key, None
    cred = _shared_with(s, identity)
    return cred and (cred["key"], cred["subject"])


def psk_for(s, hint, _address):
    """(identity, key, uuid) to use with the server that gives this hint, or None."""
    cred = _shared_with(s, hint)
    return cred and (raw(s.uuid), cred["key"], cred["subject"])


def _shared_with(s, name):
    """The pre-shared key whose subject is `name`: 16 bytes, or its text."""
    for cred in s.creds:
        subject = cred["subject"]
        if cred["type"] == _PSK and (raw(subject) == name or subject.encode() == name):
            return cred
    return None


def certificate(s):
    """(chain, private key) of this Device, or None."""
    if s.pstat.state == RFOTM:
        return s.settings.get("mfgcert")
    for cred in s.creds:
        if cred["usage"] == "cert":
            return cred["chain"], bytes(s.store.load("key")[:32])
    return None


def opened(s, session):
    """A handshake is complete. False when the session must not be."""
    if s.pstat.state == RFOTM:
        # There is a connection already, or it was begun before a RESET (then it may have a name) or with another PIN.
        if session.suite not in s.suites() or session.uuid or session.psk != s.pin_key:
            return False
        s.doc = session
        session.kept = True
        session.proof = ()
        return True
    # Only a new owner's key is derived from these; the Client's random tells a late ClientHello from a new one.
    session.master, session.randoms = b"", session.randoms[32:]
    session.proof = proof(s, session, False)
    session.roles = tuple(role for _, _, role in session.proof if role)
    return session.uuid is not None and len(session.proof) > 0  # without a name: begun before there was an owner


def knows(s, session):
    """Whether what `session` was opened with is still good."""
    found = proof(s, session, True)
    return session is s.doc or all(p in found for p in session.proof)


def proof(s, session, roles):
    """What a session hangs on: its pre-shared key; without one, or with `roles`, the authorities of an owner."""
    psk = session.psk
    found = []
    for c in s.creds:
        own = psk and c["key"] == psk and c["subject"] == session.uuid
        if own or c["usage"] == "trustca" and (roles or not psk):
            found.append((c["key"], c["chain"], c["role"]))
    return found
