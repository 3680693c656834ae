"""What Clients see of the update: OCF's software update Resource, the vendor's own status, and the tie to pstat."""

from ocf import Property, Refused, Resource
from port import phase

from swupdate import machine, utc

_BAD_REQUEST = 0x80


def _or_refuse(refusal):
    if refusal:
        raise Refused(*refusal)


class SoftwareUpdate(Resource):
    """`oic.r.softwareupdate` (OCF Core, 11.5.4, Table 2), by custom at /oc/swu."""

    href = "/oc/swu"
    rt = ("oic.r.softwareupdate",)
    interfaces = ("oic.if.rw", "oic.if.baseline")
    secure = observable = discoverable = dcr = True
    properties = (
        Property("purl", str, "rw", max_length=255),  # the model says 64; real package URLs are longer
        Property("nv", str, "r", max_length=64),
        Property("signed", str, "r", enum=("vendor",)),
        Property("swupdateaction", str, "rw", enum=("idle", "isac", "isvv", "upgrade")),
        Property("swupdatestate", str, "r", enum=("idle", "nsa", "svv", "sva", "upgrading")),
        Property("swupdateresult", int, "r"),
        Property("lastupdate", str, "r", max_length=64),
        Property("updatetime", str, "rw", max_length=64),
    )

    def __init__(self, updater, href=None):
        super().__init__()
        if href:
            self.href = href
        self._updater = updater
        updater.watchers.append(self.notify)

    def get(self):
        """All Properties, also when nothing was ever set (Table 2)."""
        s = self._updater.state
        return {
            "purl": s["purl"],
            "nv": s["nv"],
            "signed": "vendor",
            "swupdateaction": machine.action(s),
            "swupdatestate": s["state"],
            "swupdateresult": s["result"],
            "lastupdate": utc.format(self._updater.last),
            "updatetime": utc.format(s["when"]),
        }

    def update(self, values):
        """UPDATE: all three writable Properties are required, as OCF's model says."""
        for name in ("purl", "swupdateaction", "updatetime"):
            if name not in values:
                raise Refused(_BAD_REQUEST, name + " is required")
        when = values["updatetime"]
        if when not in ("now", "none"):
            try:
                with phase("swupdate.rfc3339") as rfc3339:
                    when = rfc3339.parse(when)
            except ValueError as error:
                raise Refused(_BAD_REQUEST, "updatetime: %s" % error) from None
        _or_refuse(self._updater.update(values["purl"], values["swupdateaction"], when))


class UpdateStatus(Resource):
    """Why, how far and which versions: what OCF's Resource has no place for. Read-only."""

    href = "/fargo/update"
    rt = ("x.fargo.update",)
    interfaces = ("oic.if.r", "oic.if.baseline")
    secure = observable = discoverable = dcr = True
    properties = (
        Property("reason", str, "r"),
        Property("phase", str, "r"),
        Property("done", int, "r"),
        Property("total", int, "r"),
        Property("running", str, "r"),
        Property("offered", str, "r"),
        Property("slot", str, "r"),
        Property("seq", int, "r"),
        Property("confirmed", bool, "r"),
        Property("attempts", int, "r"),
    )

    def __init__(self, updater):
        super().__init__()
        self._updater = updater
        updater.watchers.append(self.notify)
        updater.progress_watchers.append(self.notify)

    def get(self):
        """The Properties; `done` and `total` in bytes, `seq` the running version's sequence number."""
        u = self._updater
        label = u.slots.label(u.slots.running) or {}
        return {
            "reason": u.state["reason"],
            "phase": u.phase,
            "done": u.done,
            "total": u.total,
            "running": label.get("version", ""),
            "offered": u.state["nv"],
            "slot": u.slots.running,
            "seq": label.get("seq", 0),
            "confirmed": u.slots.confirmed,
            "attempts": u.attempts,
        }


def write_target(updater, tm):
    """A Client wrote `tm` of pstat. Raises Refused."""
    _or_refuse(updater.target(tm))
