"""What is kept of the SVRs: a record for each, written as a whole. A phase."""

from binascii import hexlify

from cbor import dumps
from coap.message import Refused
from port import const

from ocf.pstat import NIL
from ocf.security import raw

_SELF = const(4)
_INTERNAL = const(0xA0)


def load(security, name, record):
    """Take a record over. Members that this version does not know are of no interest."""
    s = security
    if name == "doxm":
        s.uuid = text(record["uuid"])
        s.owned = record["owned"]
        s.devowner = record["devowner"]
        s.rowner = record["rowner"]
        if s.owned:  # before, nothing is chosen after a start
            s.oxmsel = record.get("oxm", _SELF)
    elif name == "cred":
        s.cred_owner = record["rowner"]
        s.creds = [
            {"id": i, "type": t, "subject": u, "usage": usage, "key": key, "chain": chain,
             "role": tuple(role) if role else None}
            for i, t, u, usage, key, chain, role in record["creds"]
        ]  # fmt: skip
    elif name == "acl2":
        s.acl_owner = record["rowner"]
        s.aces = [
            {"id": i, "subject": (kind, tuple(value) if kind == "role" else value), "resources": r, "permission": p}
            for i, kind, value, r, p in record["aces"]
        ]
    else:
        s.sdi = tuple(record["sdi"])


def save(security, name, **changed):
    """Write the record of one SVR, with `changed` in it, and then take the changes over. Raises Refused 5.00."""
    s = security

    def value(attribute):
        return changed.get(attribute, getattr(s, attribute))

    if name == "doxm":
        record = {"uuid": raw(value("uuid")), "owned": value("owned"), "devowner": value("devowner")}
        record["rowner"] = value("rowner")
        record["oxm"] = s.oxmsel
    elif name == "cred":
        members = ("id", "type", "subject", "usage", "key", "chain", "role")
        record = {"rowner": value("cred_owner"), "creds": [[c[m] for m in members] for c in value("creds")]}
    elif name == "acl2":
        aces = [[a["id"], a["subject"][0], a["subject"][1], a["resources"], a["permission"]] for a in value("aces")]
        record = {"rowner": value("acl_owner"), "aces": aces}
    else:
        record = {"sdi": value("sdi")}
    record["v"] = 1
    try:
        s.store.save(name, dumps(record, 16384))
    except OSError as error:
        raise Refused(_INTERNAL, "%s could not be stored: %s" % (name, error))  # noqa: B904
    for attribute in changed:
        setattr(s, attribute, changed[attribute])


def fresh(security):
    """Give the Device a new random UUID (RFC 9562 section 5.4)."""
    data = bytearray(security.random(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    save(security, "doxm", uuid=text(data), owned=False, devowner=NIL, rowner=NIL)


def wipe(security):
    """Forget the owner and all that came from it. It can be begun again after a power failure."""
    s = security
    for name in ("cred", "acl2", "sdi", "key"):
        s.store.remove(name)
    s.creds = []
    s.aces = []
    s.cred_owner = s.acl_owner = NIL
    s.sdi = (NIL, "", True)
    s.oxmsel = _SELF
    fresh(s)
    if s.device:
        s.device.di = s.uuid


def text(data):
    """A UUID as text."""
    h = str(hexlify(bytes(data)), "ascii")
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
