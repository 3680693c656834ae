"""DELETE of entries. A phase."""

from coap.message import Refused
from port import const

from ocf.pstat import RFNOP
from ocf.security import records
from ocf.security.update import refuse, set_roles

_FORBIDDEN = const(0x83)
_NOT_FOUND = const(0x84)


def delete(security, name, request):
    """DELETE of entries of acl2, cred or roles. Raises Refused."""
    if name not in ("acl2", "cred", "roles"):
        raise Refused(0x85, "this Resource cannot be deleted")
    if security.pstat.state == RFNOP and name != "roles":
        raise Refused(_FORBIDDEN, "not in this state of the Device")
    key, attribute = ("aceid=", "aces") if name == "acl2" else ("credid=", "creds")
    wanted = [part[len(key) :] for part in request.query if part.startswith(key)]
    if name == "roles":
        found = getattr(request.peer, "role_chains", ())
        entries = [{"id": i + 1, "it": found[i]} for i in range(len(found))]
    else:
        entries = getattr(security, attribute)
    if request.query and not wanted:
        refuse("the query names no entry")  # rather than to take it for "all of them"
    kept = [entry for entry in entries if wanted and str(entry["id"]) not in wanted]
    if wanted and len(kept) == len(entries):
        raise Refused(_NOT_FOUND, "there is no such entry")
    if name == "roles":
        set_roles(request.peer, [entry["it"] for entry in kept])
    else:
        records.save(security, name, **{attribute: kept})
