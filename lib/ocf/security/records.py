"""What is kept of the SVRs: a record for each, written as a whole. A phase."""

from cbor import EncodeError, dumps
from coap.message import Refused
from port import const

from ocf.pstat import NIL
from ocf.uuids import raw, text

_SELF = const(4)
_INTERNAL = const(0xA0)
_TOO_LARGE = const(0x8D)
_LARGEST = const(16384)
_LARGEST_RECORD = const(10240)  # so that what GET shows, which is longer, has room in 16 KB
OWNERS = ("cred", "acl2", "sdi", "key")  # records of an owner's; without one there are none


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
        aces = [
            [a["id"], a["subject"][0], a["subject"][1], _both(a["resources"]), a["permission"]] for a in value("aces")
        ]
        record = {"rowner": value("acl_owner"), "aces": aces}
    else:
        record = {"sdi": value("sdi")}
    record["v"] = 1
    try:
        data = dumps(record, _LARGEST)
    except EncodeError:
        data = None
    if not data or len(data) > _LARGEST_RECORD:
        raise Refused(_TOO_LARGE, name + " has no room for it")
    try:
        s.store.save(name, data)
    except OSError as error:
        raise Refused(_INTERNAL, "%s could not be stored: %s" % (name, error))  # noqa: B904
    for attribute in changed:
        setattr(s, attribute, changed[attribute])


def _both(resources):
    """Each as [href or None, wildcard or None]."""
    return [[name, None] if name[0] == "/" else [None, name] for name in resources]


def fresh(security):
    """Give the Device a new random UUID (RFC 9562 section 5.4)."""
    data = bytearray(security.random(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    s = security
    s.uuid, s.owned, s.devowner, s.rowner = text(data), False, NIL, NIL
    save(s, "doxm")


def wipe(security):
    """Forget the owner and all that came from it. It can be begun again after a power failure."""
    s = security
    for name in OWNERS:
        s.store.remove(name)
    s.creds = []
    s.aces = []
    s.cred_owner = s.acl_owner = NIL
    s.sdi = (NIL, "", True)
    s.oxmsel = _SELF
    fresh(s)
    if s.device:
        s.device.di = s.uuid
