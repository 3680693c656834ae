"""UPDATEs of credentials and access control entries. A phase within `ocf.security.update`."""

from binascii import a2b_base64, b2a_base64

from coap.message import Refused
from port import const, phase

from ocf.pstat import RFOTM
from ocf.security import raw, records
from ocf.security.update import TOO_LARGE, WRITABLE, known, owner, refuse, uuid

_CREDS = const(16)
_ACES = const(32)
_RESOURCES = const(16)
_PSK = const(1)
_CERTIFICATE = const(8)
_BLOCK_MAC = const(16)
_USAGES = ("trustca", "cert", "mfgtrustca")
_OXMS = (b"oic.sec.doxm.jw", b"oic.sec.doxm.rdp", b"oic.sec.doxm.mfgcert")


def post(s, name, body, request):
    """Take an UPDATE of `cred` or `acl2`."""
    array, attribute, owner_name = (
        ("creds", "creds", "cred_owner") if name == "cred" else ("aclist2", "aces", "acl_owner")
    )
    known(body, array, "rowneruuid")
    changed = {owner_name: owner(s, body, getattr(s, owner_name))}
    entries = body.get(array)
    if entries is not None:  # null says the same as an empty list
        if s.pstat.state not in WRITABLE:
            refuse("entries are read-only in this state")
        if not isinstance(entries, list):
            refuse(array + " must be an array")
        kept = [dict(entry) for entry in getattr(s, attribute)]
        for entry in entries:
            if not isinstance(entry, dict):
                refuse("an entry must be a map")
            if name == "cred":
                _merge_credential(kept, _credential(s, entry, request))
            else:
                _merge_ace(kept, _ace(entry))
        if len(kept) > (_CREDS if name == "cred" else _ACES):
            raise Refused(TOO_LARGE, "too many entries")
        changed[attribute] = kept
    records.save(s, name, **changed)


def _number(entry, name):
    """The number that an entry brings, or None."""
    value = entry.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 30):
        refuse(name + " must be a positive integer")
    return value


def _unlimited(entry, name):
    """Refuse a limit in time, which is not kept here: without it there would be more rights than were meant."""
    if entry.get(name):
        refuse(name + " is not supported")


def _numbered(kept, new):
    """Give `new` a number of its own."""
    new["id"] = 1 + max([entry["id"] for entry in kept] or [0])
    kept.append(new)


# Credentials


def _merge_credential(kept, new):
    """A credential takes the place of the one with its number, and of the one for the same."""
    usage = new["usage"]
    for old in list(kept):
        same = old["usage"] == usage
        if usage != "cert":  # of which there is one
            same = same and old["subject"] == new["subject"] and old["chain"] == new["chain"]
        if same or new["id"] == old["id"]:
            kept.remove(old)
            new["id"] = new["id"] or old["id"]
    if new["id"] is None:
        _numbered(kept, new)
    else:
        kept.append(new)


def _credential(s, entry, request):
    _unlimited(entry, "period")
    kind = entry.get("credtype")
    if isinstance(kind, (bool, float)):  # which compare like numbers
        kind = None
    subject = entry.get("subjectuuid")
    new = {
        "id": _number(entry, "credid"), "type": kind, "usage": "", "key": b"", "chain": [],
        "role": _role(entry.get("roleid")), "subject": "*" if subject == "*" else uuid(subject, "subjectuuid"),
    }  # fmt: skip
    if kind == _PSK:
        if new["subject"] == "*":
            refuse("a key needs a subjectuuid")
        new["key"] = _key(s, entry.get("privatedata"), new["subject"], request)
    elif kind == _CERTIFICATE:
        usage = entry.get("credusage")
        new["usage"] = usage[13:] if isinstance(usage, str) and usage.startswith("oic.sec.cred.") else ""
        if new["role"]:
            refuse("a roleid goes with a key")
        if new["usage"] not in _USAGES:
            refuse("credusage is not supported")
        new["chain"] = _chain(s, entry.get("publicdata"), new["usage"])
    else:
        refuse("credtype must be 1 or 8")
    return new


def _role(value):
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse("roleid must be a map")
    role, authority = value.get("role"), value.get("authority", "")
    if not isinstance(role, str) or not isinstance(authority, str) or not 0 < len(role) <= 64 or len(authority) > 64:
        refuse("roleid needs a role of at most 64 characters")
    return authority, role


def _key(s, data, subject, request):
    """A pre-shared key: what is written, or what both sides derive from the onboarding connection."""
    if not isinstance(data, dict):
        refuse("a key needs privatedata")
    key = data.get("data")
    encoding = data.get("encoding", "oic.sec.encoding.raw")
    sent_as_text = isinstance(key, str)
    if sent_as_text:
        key = key.encode()
    if not isinstance(key, bytes):
        refuse("privatedata needs data")
    if encoding == "oic.sec.encoding.base64":
        text = key
        try:
            key = a2b_base64(text)
        except ValueError:
            key = b""
        if b2a_base64(key)[:-1] != text:  # decoding passes over what is not base64
            refuse("data is not in base64")
    elif encoding != "oic.sec.encoding.raw":
        refuse("encoding is not supported")
    elif not key:
        session = s.doc
        if session is None or request.peer is not session or s.pstat.state != RFOTM:
            refuse("a key can be derived only in the onboarding connection")
        with phase("crypto.prf") as prf:
            return prf.owner_psk(
                session.master, session.randoms, session.block, _OXMS[s.oxmsel], raw(subject), raw(s.uuid)
            )
    elif sent_as_text and -len(key) % 16 < 4:
        key += bytes(-len(key) % 16)  # text has lost the zeros at its end
    if len(key) not in (16, 32):
        refuse("a key has 16 or 32 bytes")
    return key


def _chain(s, data, usage):
    """Certificates (a list of DER): authorities, or this Device's own chain."""
    text = data.get("data") if isinstance(data, dict) else None
    if not isinstance(text, (str, bytes)):
        refuse("a certificate needs publicdata")
    encoding = data.get("encoding", "oic.sec.encoding.pem")
    with phase("crypto.pem", "crypto.certificate") as (pem, certificate):
        try:
            if encoding == "oic.sec.encoding.der":
                chain = [text.encode() if isinstance(text, str) else text]
            elif encoding == "oic.sec.encoding.pem":
                chain = pem.decode(text)
            else:
                raise ValueError("encoding is not supported")
            found = [certificate.parse(der) for der in chain]
            if not found:
                raise ValueError("there is no certificate")
            if usage != "cert":
                if not all(one.ca for one in found):
                    raise ValueError("an authority's certificate is not a CA's")
            elif found[0].public != (s.store.load("key") or b"")[32:] or certificate.uuid_of(found[0]) != s.uuid:
                raise ValueError("the certificate is not for this Device's key and uuid")
        except ValueError as error:
            refuse("certificate: %s" % error)
    return chain


# Access control entries


def _merge_ace(kept, new):
    """An entry takes the place of the one with its number; its resources join those for the same subject and rights."""
    for i, old in enumerate(kept):
        if new["id"] is not None:
            if new["id"] == old["id"]:
                kept[i] = new
                return
        elif old["subject"] == new["subject"] and old["permission"] == new["permission"]:
            resources = list(old["resources"])
            resources += [r for r in new["resources"] if r not in resources]
            if len(resources) <= _RESOURCES:
                old["resources"] = resources
                return
    if new["id"] is None:
        _numbered(kept, new)
    else:
        kept.append(new)


def _ace(entry):
    permission = entry.get("permission")
    if isinstance(permission, bool) or not isinstance(permission, int) or not 0 <= permission <= 31:
        refuse("permission must be 0 to 31")
    _unlimited(entry, "validity")
    resources = entry.get("resources")
    if not isinstance(resources, list) or not resources:
        refuse("an entry needs resources")
    if len(resources) > _RESOURCES:
        raise Refused(TOO_LARGE, "too many resources in one entry")
    return {
        "id": _number(entry, "aceid"), "subject": _subject(entry.get("subject")), "permission": permission,
        "resources": [_resource(r) for r in resources],
    }  # fmt: skip


def _subject(value):
    if isinstance(value, dict):
        if "uuid" in value:
            return "uuid", uuid(value["uuid"], "subject")
        if value.get("conntype") in ("auth-crypt", "anon-clear"):
            return "conntype", value["conntype"]
        if "role" in value:
            return "role", _role(value)
    return refuse("subject must have a uuid, a role or a conntype")


def _resource(value):
    """[href or None, wildcard or None]: what else stands there is of no meaning."""
    if isinstance(value, dict):
        href, wildcard = value.get("href"), value.get("wc")
        if isinstance(href, str) and href[:1] == "/" and len(href) <= 64:
            return [href, None]
        if wildcard in ("*", "+", "-"):
            return [None, wildcard]
    return refuse("a resource needs an href or a wildcard")
