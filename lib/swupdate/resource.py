"""What Clients see of the update: OCF's software update Resource. The vendor's own is `swupdate.status`."""

from ocf.resource import Refused, Resource
from port import phase


class SoftwareUpdate(Resource):
    """`oic.r.softwareupdate` (OCF Core, 11.5.4, Table 2), by custom at /oc/swu: of `updater`, made by swupdate.status."""

    href = "/oc/swu"
    rt = ("oic.r.softwareupdate",)
    dcr = True

    @property
    def properties(self):
        """What it declares."""
        with phase("swupdate.declared") as declared:
            return declared.UPDATE

    def get(self):
        """All Properties, also when nothing was ever set (Table 2)."""
        s = self.updater.state
        action, last, time = self.updater.shown
        return [
            ("purl", s["purl"]),
            ("nv", s["nv"]),
            ("signed", "vendor"),
            ("swupdateaction", action),
            ("swupdatestate", s["state"]),
            ("swupdateresult", s["result"]),
            ("lastupdate", last),
            ("updatetime", time),
        ]

    def update(self, values):
        """UPDATE: answered with the full representation, as OCF's model says. Raises Refused."""
        refusal = self.updater.update(values["purl"], values["swupdateaction"], values["updatetime"])
        if refusal:
            raise Refused(*refusal)
        return True


def status():
    """The phase of /fargo/update."""
    return phase("swupdate.status")
