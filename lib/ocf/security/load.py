"""What a Device's SVRs begin with at the start. A phase."""

from coap.message import Refused
from port import const, phase

from ocf.pstat import NIL, RFOTM
from ocf.security import Svr

_SELF = const(4)  # the value of oxmsel while no transfer method is chosen


def load(security):
    """Give `security` what it holds, and take over what is stored.

    A Device whose records make no sense has no owner, rather than not to start.
    """
    s = security
    s.doc = None  # the session of the Device onboarding connection
    s.pin_key = s.pin_task = None
    s.device = None
    # doxm
    s.uuid = None
    s.owned = False
    s.devowner = s.rowner = NIL
    s.oxmsel = _SELF
    # cred: "id", "type", "subject", "usage", "key", "chain", "role"; acl2: "id", "subject", "resources" (hrefs, wildcards),
    # "permission"
    s.creds = []
    s.aces = []
    s.cred_owner = s.acl_owner = NIL
    s.sdi = (NIL, "", True)  # uuid, name, priv
    s.resources = [Svr(href="/oic/sec/" + name) for name in ("doxm", "cred", "acl2", "sp", "csr", "roles", "sdi")]
    with phase("ocf.security.stored") as stored:
        why = stored.take(s)
    _share(s)
    state = s.pstat.state
    if s.uuid is None or state == RFOTM:
        found = _without_owner(s)
        why = why or found
    if state != RFOTM:
        why = why or s.guard(state)
    s.pstat.unfinished = s.pstat.unfinished or why


def _without_owner(s):
    """Give a new Device its UUID. Why one without an owner has something of an owner's, if it has."""
    with phase("ocf.security.records") as records:
        if s.uuid is None:
            try:
                records.fresh(s)
            except Refused:  # it serves all the same, and has another UUID after the next start
                pass
        if s.pstat.state != RFOTM:
            return None
        if {s.devowner, s.rowner, s.pstat.rowneruuid} != {NIL} or any(s.store.load(name) for name in records.OWNERS):
            return "the power failed while somebody became the owner"
    return None


def _share(s):
    """Keep one copy of each text: the same few UUIDs stand all over the records, and take 64 bytes each."""
    known = {r.href: r.href for r in s.resources}

    def one(text):
        return known.setdefault(text, text)

    s.devowner, s.rowner = one(s.devowner), one(s.rowner)
    s.cred_owner, s.acl_owner = one(s.cred_owner), one(s.acl_owner)
    s.pstat.rowneruuid = one(s.pstat.rowneruuid)
    s.sdi = (one(s.sdi[0]),) + s.sdi[1:]  # noqa: RUF005 - MicroPython has no stars in a tuple
    for cred in s.creds:
        cred["subject"] = one(cred["subject"])
    for ace in s.aces:
        kind, value = ace["subject"]
        ace["subject"] = one(kind), one(value)
        ace["resources"] = tuple([one(name) for name in ace["resources"]])
