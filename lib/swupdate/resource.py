"""What Clients see of the update: OCF's software update Resource and the vendor's own status."""

from ocf.resource import Refused, Resource
from port import const, phase

_BAD_REQUEST = const(0x80)


class SoftwareUpdate(Resource):
    """`oic.r.softwareupdate` (OCF Core, 11.5.4, Table 2), by custom at /oc/swu."""

    href = "/oc/swu"
    rt = ("oic.r.softwareupdate",)
    interfaces = ("oic.if.rw", "oic.if.baseline")
    dcr = True

    @property
    def properties(self):
        """What it declares."""
        with phase("swupdate.declared") as declared:
            return declared.UPDATE

    def __init__(self, updater, href=None):
        super().__init__(_updater=updater)
        if href:
            self.href = href
        updater.watchers.append(self.notify)

    def get(self):
        """All Properties, also when nothing was ever set (Table 2)."""
        s = self._updater.state
        return [
            ("purl", s["purl"]),
            ("nv", s["nv"]),
            ("signed", "vendor"),
            ("swupdateaction", self._updater.action),
            ("swupdatestate", s["state"]),
            ("swupdateresult", s["result"]),
            ("lastupdate", self._updater.dates[0]),
            ("updatetime", self._updater.dates[1]),
        ]

    def update(self, values):
        """UPDATE: answered with the full representation, as OCF's model says. Raises Refused."""
        try:
            refusal = self._updater.update(values["purl"], values["swupdateaction"], values["updatetime"])
        except ValueError as error:
            refusal = _BAD_REQUEST, "updatetime: %s" % error
        if refusal:
            raise Refused(*refusal)
        return True


class UpdateStatus(Resource):
    """Why, how far and which versions: what OCF's Resource has no place for. Read-only.

    `label`: that of the running slot.
    """

    href = "/fargo/update"
    rt = ("x.fargo.update",)
    interfaces = ("oic.if.r", "oic.if.baseline")
    dcr = True

    @property
    def properties(self):
        """What it declares."""
        with phase("swupdate.declared") as declared:
            return declared.STATUS

    def __init__(self, updater, label):
        super().__init__(_updater=updater, _version=label.get("version", ""), _seq=label.get("seq", 0))
        updater.watchers.append(self.notify)
        updater.progress_watchers.append(self.notify)

    def get(self):
        """The Properties; `done` and `total` in bytes, `seq` the running version's sequence number."""
        u = self._updater
        return [
            ("reason", u.state["reason"]),
            ("phase", u.doing),
            ("done", u.done),
            ("total", u.total),
            ("running", self._version),
            ("offered", u.state["nv"]),
            ("slot", u.slots.running),
            ("seq", self._seq),
            ("confirmed", u.slots.confirmed),
            ("attempts", u.attempts),
        ]
