"""UPDATEs of access control entries. A phase within `ocf.security.update`."""

from coap.message import Refused
from port import const

from ocf.security import records
from ocf.security.update import (
    TOO_LARGE,
    append,
    known,
    merged,
    number,
    owner,
    refuse,
    role_of,
    unlimited,
    uuid,
)

_MOST = const(32)
_RESOURCES = const(16)


def post(s, body):
    """Take an UPDATE. Raises Refused."""
    known(body, "aclist2", "rowneruuid")
    owned_by = owner(s, body, s.acl_owner)
    aces = merged(s, body.get("aclist2"), "aclist2", s.aces, _MOST, lambda kept, entry: _merge(kept, _ace(entry)))
    records.save(s, "acl2", acl_owner=owned_by, aces=aces)


def _merge(kept, new):
    """An entry takes the place of the one with its number; its resources join those for the same subject and rights."""
    for i, old in enumerate(kept):
        if new["id"] is not None:
            if new["id"] == old["id"]:
                kept[i] = new
                return
        elif old["subject"] == new["subject"] and old["permission"] == new["permission"]:
            resources = old["resources"]
            resources += tuple([r for r in new["resources"] if r not in resources])
            if len(resources) <= _RESOURCES:
                old["resources"] = resources
                return
    append(kept, new)


def _ace(entry):
    permission = entry.get("permission")
    if isinstance(permission, bool) or not isinstance(permission, int) or not 0 <= permission <= 31:
        refuse("permission must be 0 to 31")
    unlimited(entry, "validity")
    resources = entry.get("resources")
    if not isinstance(resources, list) or not resources:
        refuse("an entry needs resources")
    if len(resources) > _RESOURCES:
        raise Refused(TOO_LARGE, "too many resources in one entry")
    return {
        "id": number(entry, "aceid"), "subject": _subject(entry.get("subject")), "permission": permission,
        "resources": tuple([_resource(r) for r in resources]),
    }  # fmt: skip


def _subject(value):
    if isinstance(value, dict):
        if "uuid" in value:
            return "uuid", uuid(value["uuid"], "subject")
        if value.get("conntype") in ("auth-crypt", "anon-clear"):
            return "conntype", value["conntype"]
        if "role" in value:
            return "role", role_of(value)
    return refuse("subject must have a uuid, a role or a conntype")


def _resource(value):
    """An href or a wildcard: what else stands there is of no meaning."""
    if isinstance(value, dict):
        href, wildcard = value.get("href"), value.get("wc")
        if isinstance(href, str) and href[:1] == "/" and len(href) <= 64:
            return href
        if wildcard in ("*", "+", "-"):
            return wildcard
    return refuse("a resource needs an href or a wildcard")
