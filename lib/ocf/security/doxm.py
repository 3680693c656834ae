"""UPDATEs of doxm, sp and sdi, which have no entries. A phase."""

from port import const, phase

from ocf.pstat import RFNOP, RFOTM
from ocf.security import records
from ocf.security.update import WRITABLE, known, owner, refuse, uuid

_PIN = const(1)


def post(security, name, body, request):
    """Take an UPDATE. Raises Refused."""
    if name == "doxm":
        _doxm(security, body, request)
    elif name == "sp":
        _sp(security, body)
    else:
        _sdi(security, body)


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
    if s.pstat.state not in WRITABLE:
        refuse("read-only in this state")
    old_uuid, old_name, old_private = s.sdi
    name = body.get("name", old_name)
    private = body.get("priv", old_private)
    if not isinstance(name, str) or len(name) > 64 or not isinstance(private, bool):
        refuse("name must be text of at most 64 characters, priv a boolean")
    new = uuid(body["uuid"], "uuid") if "uuid" in body else old_uuid
    records.save(s, "sdi", sdi=(new, name, private))
