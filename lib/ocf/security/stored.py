"""The records of the SVRs, read and taken over at the start. A phase of `ocf.security.load`."""

from cbor.decoder import decode
from port import const

from ocf.uuids import is_uuid, text

_SELF = const(4)  # the value of oxmsel while no transfer method is chosen
_PSK = const(1)


def take(s):
    """Give the Security `s` what is stored. None, or which record is damaged."""
    why = None
    for name in ("doxm", "cred", "acl2", "sdi"):
        try:
            data = s.store.load(name)
            if data:
                _take(s, name, decode(data, max_items=2000))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a damaged record leads to
            why = "record %s is damaged: %s" % (name, error)
    return why


def _take(s, name, record):
    """Take a record over. Members that this version does not know are of no interest. Raises whatever it is."""
    if name == "sdi":
        uuid, label, private = record["sdi"][:3]
        _check(is_uuid(uuid) and isinstance(label, str) and isinstance(private, bool))
        s.sdi = uuid, label, private
        return
    owner = record["rowner"]
    _check(is_uuid(owner))
    if name == "doxm":
        uuid, owned, devowner = record["uuid"], record["owned"], record["devowner"]
        _check(len(uuid) == 16 and isinstance(owned, bool) and is_uuid(devowner))
        s.uuid, s.owned, s.devowner, s.rowner = text(uuid), owned, devowner, owner
        s.oxmsel = record.get("oxm", _SELF) if owned else _SELF
    elif name == "cred":
        creds = [_credential(*entry[:7]) for entry in record["creds"]]
        if len(s.store.load("key") or b"") != 96:  # without its key a certificate is of no use
            creds = [cred for cred in creds if cred["usage"] != "cert"]
        s.creds, s.cred_owner = creds, owner
    else:
        aces = [_ace(*entry[:5]) for entry in record["aces"]]
        s.aces, s.acl_owner = [ace for ace in aces if ace], owner


def _credential(number, kind, subject, usage, key, chain, role):
    _check(isinstance(number, int) and isinstance(kind, int) and (subject == "*" or is_uuid(subject)))
    _check(isinstance(usage, str) and isinstance(key, bytes) and isinstance(chain, list))
    _check(kind != _PSK or subject != "*" and len(key) in (16, 32))
    for der in chain:
        _check(isinstance(der, bytes))
    role = _role(role) if role else None
    return {
        "id": number, "type": kind, "subject": subject, "usage": usage, "key": key, "chain": chain, "role": role,
    }  # fmt: skip


def _ace(number, kind, value, resources, permission):
    """An entry, or None when it is for a kind of subject that is not known here."""
    _check(isinstance(number, int) and isinstance(permission, int))
    if kind == "role":
        value = _role(value)
    elif not (kind == "uuid" and is_uuid(value) or kind == "conntype" and value in ("auth-crypt", "anon-clear")):
        return None
    names = tuple([href or wildcard for href, wildcard in (r[:2] for r in resources)])
    for name in names:
        _check(isinstance(name, str) and name)
    return {"id": number, "subject": (kind, value), "resources": names, "permission": permission}


def _role(value):
    authority, role = value
    _check(isinstance(authority, str) and isinstance(role, str))
    return authority, role


def _check(good):
    if not good:
        raise ValueError("a value of another kind")
