"""What UPDATEs of credentials and of access control entries have in common. A phase within `ocf.security.update`."""

from coap.message import Refused

from ocf.security.update import TOO_LARGE, WRITABLE, refuse


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
