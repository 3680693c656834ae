"""UPDATEs of the SVRs: validated as a whole, stored, and then taken over. A phase: what all of them need."""

from coap.message import Refused
from port import const, phase

from ocf.pstat import RFOTM
from ocf.resource import BAD_REQUEST
from ocf.uuids import is_uuid

TOO_LARGE = const(0x8D)
_RFPRO = const(2)
_SRESET = const(4)
WRITABLE = (RFOTM, _RFPRO, _SRESET)


def post(security, name, body, request):
    """An UPDATE; a coroutine where it takes time. Raises Refused."""
    if name == "cred":
        with phase("ocf.security.cred") as cred:
            return cred.post(security, body, request)
    if name == "acl2":
        with phase("ocf.security.acl2") as acl2:
            return acl2.post(security, body)
    if name == "roles":
        return _roles(security, body, request)
    if name == "csr":
        raise Refused(0x85, "this Resource is for reading")
    with phase("ocf.security.doxm") as others:
        return others.post(security, name, body, request)


async def _roles(security, body, request):
    with phase("ocf.security.roles") as roles:
        await roles.post(security, body, request)


def refuse(text):
    """4.00 with the reason."""
    raise Refused(BAD_REQUEST, text)


def owner(security, body, current):
    """The rowneruuid that an UPDATE leaves. Raises Refused."""
    if "rowneruuid" not in body:
        return current
    if security.pstat.state not in (RFOTM, _SRESET):
        refuse("rowneruuid is read-only in this state")
    return uuid(body["rowneruuid"], "rowneruuid")


def uuid(value, name):
    """A UUID in lower case. Raises Refused."""
    if not is_uuid(value):
        refuse(name + " is not a UUID")
    return value.lower()


def known(body, *names):
    """Raise Refused unless every name in `body` is one of `names`."""
    for name in body:
        if name not in names:
            refuse("%s is not a Property that can be written" % (name[:32] if isinstance(name, str) else "a number"))


def set_roles(session, found):
    """Leave a session the role certificates `found`, beside the role of its key."""
    session.role_chains = found
    session.roles = tuple(role for _, _, role in session.proof if role)
    for _, roles in found:
        session.roles += roles


# What credentials and access control entries have in common


def merged(s, entries, name, old, most, merge):
    """What is left of the entries `old` once `merge(kept, entry)` was done for all that an UPDATE brings under `name`."""
    if entries is None:  # says the same as an empty list
        return old
    if s.pstat.state not in WRITABLE:
        refuse("entries are read-only in this state")
    if not isinstance(entries, list):
        refuse(name + " must be an array")
    kept = [dict(entry) for entry in old]
    for entry in entries:
        if not isinstance(entry, dict):
            refuse("an entry must be a map")
        merge(kept, entry)
    if len(kept) > most:
        raise Refused(TOO_LARGE, "too many entries")
    return kept


def number(entry, name):
    """The number that an entry brings, or None."""
    value = entry.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 30):
        refuse(name + " must be a positive integer")
    return value


def unlimited(entry, name):
    """Refuse a limit in time, which is not kept here: without it there would be more rights than were meant."""
    if entry.get(name):
        refuse(name + " is not supported")


def append(kept, new):
    """Keep `new`, with a number of its own if it brings none."""
    new["id"] = new["id"] or 1 + max([entry["id"] for entry in kept] or [0])
    kept.append(new)


def role_of(value):
    """(authority or "", role), or None when there is no `value`."""
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse("roleid must be a map")
    role, authority = value.get("role"), value.get("authority", "")
    if not isinstance(role, str) or not isinstance(authority, str) or not 0 < len(role) <= 64 or len(authority) > 64:
        refuse("roleid needs a role of at most 64 characters")
    return authority, role
