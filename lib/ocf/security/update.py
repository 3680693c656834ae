"""UPDATE and DELETE of the SVRs: validated as a whole, stored, and then taken over. A phase."""

from coap.message import Refused
from port import const, phase

from ocf.onboarding import is_uuid
from ocf.pstat import NIL, RFNOP, RFOTM, RFPRO, SRESET
from ocf.resource import BAD_REQUEST
from ocf.security import records

_FORBIDDEN = const(0x83)
_NOT_FOUND = const(0x84)
_TOO_LARGE = const(0x8D)
_PIN = const(1)
_SELF = const(4)
_PIN_ROUNDS = const(1000)


def refuse(text):
    """4.00 with the reason."""
    raise Refused(BAD_REQUEST, text)


def post(security, name, body, request):
    """An UPDATE; a coroutine where it takes time. Raises Refused."""
    if name == "doxm":
        return _doxm(security, body, request)
    if name == "sp":
        return _sp(security, body)
    if name == "sdi":
        return _sdi(security, body)
    if name == "roles":
        return _roles(security, body, request)
    if name == "csr":
        raise Refused(0x85, "this Resource is for reading")
    with phase("ocf.security.lists") as lists:
        return lists.post(security, name, body, request)


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
        with phase("ocf.security.certificates") as certificates:
            certificates.set_roles(request.peer, [entry["it"] for entry in kept])
    else:
        records.save(security, name, **{attribute: kept})


def owner(security, body, current):
    """The rowneruuid that an UPDATE leaves. Raises Refused."""
    if "rowneruuid" not in body:
        return current
    if security.pstat.state not in (RFOTM, SRESET):
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


def _doxm(s, body, request):
    known(body, "oxmsel", "owned", "devowneruuid", "deviceuuid", "rowneruuid")
    state = s.pstat.state
    in_doc = s.doc is not None and request.peer is s.doc
    changed = {}
    for name, attribute in (("devowneruuid", "devowner"), ("deviceuuid", "uuid")):
        if name in body:
            changed[attribute] = uuid(body[name], name)
    if "owned" in body:
        if body["owned"] is not True:
            refuse("owned can only become true")
        changed["owned"] = True
    if changed and not (state == RFOTM and in_doc):
        refuse("only the onboarding connection can write this, before there is an owner")
    if "rowneruuid" in body:
        changed["rowner"] = owner(s, body, None)
        if state == RFOTM and not in_doc:
            refuse("only the onboarding connection can write this")
    method = body.get("oxmsel", s.oxmsel)
    if "oxmsel" in body:
        if state != RFOTM or in_doc:
            refuse("oxmsel is read-only now")
        with phase("ocf.security.view") as view:
            if isinstance(method, (bool, float)) or method not in view.methods(s):
                refuse("oxmsel is none of oxms")
    if changed:
        records.save(s, "doxm", **changed)
        if s.device:
            s.device.di = s.uuid
    if "oxmsel" in body:
        s.oxmsel = method
        s.pin_key = None
        if method == _PIN:
            with phase("ocf.security.pin") as pin:
                pin.begin(s)


def _sp(s, body):
    known(body, "currentprofile", "supportedprofiles")
    if s.pstat.state == RFNOP:
        refuse("the security profile is read-only in this state")
    if "supportedprofiles" in body:
        refuse("supportedprofiles is read-only")
    if body.get("currentprofile", "1.3.6.1.4.1.51414.0.0.1.0") != "1.3.6.1.4.1.51414.0.0.1.0":
        refuse("the security profile is not supported")


def _sdi(s, body):
    known(body, "uuid", "name", "priv")
    if s.pstat.state not in (RFOTM, RFPRO, SRESET):
        refuse("read-only in this state")
    old_uuid, old_name, old_private = s.sdi
    name = body.get("name", old_name)
    private = body.get("priv", old_private)
    if not isinstance(name, str) or len(name) > 64 or not isinstance(private, bool):
        refuse("name must be text of at most 64 characters, priv a boolean")
    new = uuid(body["uuid"], "uuid") if "uuid" in body else old_uuid
    records.save(s, "sdi", sdi=(new, name, private))


async def _roles(s, body, request):
    known(body, "roles")
    entries = body.get("roles")
    if not isinstance(entries, list) or not request.identity:
        refuse("roles must be an array, by an authenticated Client")
    texts = []
    for entry in entries:
        data = entry.get("publicdata") if isinstance(entry, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("data"), (str, bytes)):
            refuse("a role needs publicdata")
        texts.append(data["data"])
    with phase("ocf.security.certificates") as certificates:
        await certificates.add_roles(s, request.peer, texts)


# Named for `lists`, which is loaded only while this module is.
WRITABLE = (RFOTM, RFPRO, SRESET)
NOBODY = NIL
TOO_LARGE = _TOO_LARGE
