"""What the Resources of the update declare. A phase: asked for an UPDATE, and by introspection."""

from ocf.resource import Property

# /oc/swu (OCF Core, 11.5.4, Table 2)
UPDATE = (
    # Real package URLs exceed the model's 64; what exceeds 255 as well is refused as a bad URL, with its result.
    Property("purl", str, "rw", needed=True, max_length=2048, declared_length=64, format="uri"),
    Property("nv", str, optional=True),
    Property("signed", str, enum=("vendor",), optional=True),
    Property("swupdateaction", str, "rw", needed=True, enum=("idle", "isac", "isvv", "upgrade")),
    Property("swupdatestate", str, enum=("idle", "nsa", "svv", "sva", "upgrading")),
    Property("swupdateresult", int),
    Property("lastupdate", str, format="date-time", optional=True),
    Property("updatetime", str, "rw", needed=True, format="date-time"),
)
# /fargo/update
STATUS = (
    Property("reason", str, max_length=256),
    Property("phase", str),
    Property("done", int),
    Property("total", int),
    Property("running", str),
    Property("offered", str),
    Property("slot", str),
    Property("seq", int),
    Property("confirmed", bool),
    Property("attempts", int),
)
