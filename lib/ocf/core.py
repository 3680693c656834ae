"""The core Resources: discovery, introspection, Device, Platform, configuration and maintenance (OCF Core)."""

from port import phase

from ocf.resource import BASELINE, Property, Resource, refuse

_READ = ("oic.if.r", BASELINE)


class Discovery(Resource):
    """/oic/res: the links of all discoverable Resources; their representations through the batch Interface.

    The batch shows what the Client that asks may read. `rt=` in the query selects by type, several by any of them.
    """

    href = "/oic/res"
    rt = ("oic.wk.res",)
    interfaces = ("oic.if.ll", "oic.if.b", BASELINE)
    secure = False

    def represent(self, interface, request):
        """CBOR of it, or None when no Resource matches the query: for those that ask for others, nothing is loaded."""
        if not any(r.discoverable and r.matches(request) for r in self.device.resources):
            return None
        with phase("ocf.discovery") as discovery:
            return discovery.represent(self, interface, request)


class Introspection(Resource):
    """/oc/wk/introspection: says where the introspection data is."""

    href = "/oc/wk/introspection"
    rt = ("oic.wk.introspection",)
    interfaces = _READ
    observable = False
    properties = (Property("urlInfo", list),)

    def represent(self, interface, request):
        """One URL for each way in which this Device is reached."""
        with phase("ocf.introspection") as introspection:
            self.urlInfo = introspection.places(self, request)
        return super().represent(interface, request)


class IntrospectionData(Resource):
    """/oc/introspection: the data, made anew for each reader (who fetches it in blocks)."""

    href = "/oc/introspection"
    rt = ("x.fargo.introspection",)
    interfaces = _READ
    observable = discoverable = False

    def __init__(self, title, version):
        super().__init__(title=title, version=version)

    def represent(self, interface, request):
        """The document of all Resources."""
        with phase("ocf.introspection") as introspection:
            return introspection.document(self.device, self.title, self.version)


class DeviceInfo(Resource):
    """/oic/d. `sv` is the running version, `piid` is permanent, `di` follows the Device's."""

    href = "/oic/d"
    interfaces = _READ
    secure = False
    properties = (
        Property("n", str),
        Property("di", str, format="uuid"),
        Property("icv", str),
        Property("dmv", str, max_length=256),
        Property("piid", str, format="uuid"),
        Property("sv", str),
    )
    icv = "ocf.2.2.5"
    dmv = "ocf.res.1.3.0,ocf.sh.1.3.0"

    def __init__(self, name, piid, version, kind="oic.d.fargo"):
        """`name()` gives the Device's name, `piid` is a UUID as text, `version` runs, `kind` is the `oic.d.*`."""
        super().__init__(piid=piid, sv=version)
        self._name = name
        self.rt = ("oic.wk.d", kind)

    def get(self):
        """The name and the Device's UUID, which its owner may change, are what they are now."""
        self.n = self._name()
        self.di = self.device.di
        return super().get()


class Platform(Resource):
    """/oic/p. `mnfv` is the running version; `mndt` the date of manufacture."""

    href = "/oic/p"
    rt = ("oic.wk.p",)
    interfaces = _READ
    secure = False
    properties = (
        Property("pi", str, format="uuid"),
        Property("mnmn", str),
        Property("mnmo", str, optional=True),
        Property("mndt", str, optional=True, format="date"),
        Property("mnhw", str, optional=True),
        Property("mnos", str, optional=True),
        Property("mnfv", str),
    )
    mnmo = mndt = mnhw = mnos = None


class Configuration(Resource):
    """/oc/con: the Device's name, which an authorized Client may change. Empty until then."""

    href = "/oc/con"
    rt = ("oic.wk.con",)
    properties = (Property("n", str, "rw"),)

    def __init__(self, store):
        name = store.load("name") or b""
        try:
            super().__init__(n=str(name, "utf-8"))
        except ValueError:  # UnicodeError
            super().__init__(n="")
        self._store = store

    def update(self, values):
        """Rename. Raises Refused 5.00 when the name cannot be kept."""
        if "n" in values:
            try:
                self._store.save("name", values["n"].encode())
            except OSError as error:
                refuse("store", error)
            super().update(values)
        return True

    def reset(self):
        """Back to no name."""
        self._store.remove("name")
        self.n = ""


class Maintenance(Resource):
    """/oic/mnt: factory reset (`fr`) and reboot (`rb`) by writing true."""

    href = "/oic/mnt"
    rt = ("oic.wk.mnt",)
    dcr = True
    properties = (Property("fr", bool, "rw"), Property("rb", bool, "rw"))
    fr = rb = False

    def __init__(self, factory_reset, reboot):
        """Both are called without arguments after the answer was sent; either may raise Refused."""
        super().__init__()
        self._factory_reset = factory_reset
        self._reboot = reboot

    def update(self, values):
        """Do it; the values read false again."""
        if values.get("fr"):
            self._factory_reset()
        elif values.get("rb"):
            self._reboot()
        return True
