"""The core Resources: discovery, introspection, Device, Platform, configuration and maintenance (OCF Core). A phase.

It makes them at the start, and is loaded again whenever one of them is asked: `Phased` of ocf.resource.
"""

from port import phase

from ocf.resource import BASELINE, Phased, Property, dressed, refuse

_READ = ("oic.if.r", BASELINE)
_PROPERTIES = {
    "/oc/wk/introspection": (Property("urlInfo", list),),
    "/oic/d": (
        Property("n", str),
        Property("di", str, format="uuid"),
        Property("icv", str),
        Property("dmv", str, max_length=256),
        Property("piid", str, format="uuid"),
        Property("sv", str),
    ),
    "/oic/p": (
        Property("pi", str, format="uuid"),
        Property("mnmn", str),
        Property("mnmo", str, optional=True),
        Property("mndt", str, optional=True, format="date"),
        Property("mnhw", str, optional=True),
        Property("mnos", str, optional=True),
        Property("mnfv", str),
    ),
    "/oc/con": (Property("n", str, "rw"),),
    "/oic/mnt": (Property("fr", bool, "rw"), Property("rb", bool, "rw")),
}


def discovery():
    """/oic/res: the links of all discoverable Resources; their representations through the batch Interface.

    The batch shows what the Client that asks may read. `rt=` in the query selects by type, several by any of them.
    """
    return Phased(
        href="/oic/res", rt=("oic.wk.res",), interfaces=("oic.if.ll", "oic.if.b", BASELINE), secure=False,
        code=Phased.discovery,
    )  # fmt: skip


def introspection():
    """/oc/wk/introspection: says where the introspection data is, in each way in which this Device is reached."""
    return Phased(href="/oc/wk/introspection", rt=("oic.wk.introspection",), interfaces=_READ, observable=False)


def introspection_data(title, version):
    """/oc/introspection: the data, made anew for each reader (who fetches it in blocks)."""
    return Phased(
        href="/oc/introspection", rt=("x.fargo.introspection",), interfaces=_READ, observable=False, discoverable=False,
        title=title, version=version,
    )  # fmt: skip


def device_info(names, name, piid, version, kind="oic.d.fargo"):
    """/oic/d. `name` holds until the configuration `names` has another; `piid` is permanent, a UUID as text; `version`
    runs; `kind` is the `oic.d.*`."""
    return Phased(
        href="/oic/d", rt=("oic.wk.d", kind), interfaces=_READ, secure=False, names=names, name=name, piid=piid, sv=version
    )  # fmt: skip


def platform(pi, mnmn, mnfv, mnmo=None, mndt=None):
    """/oic/p. `mnfv` is the running version; `mndt` the date of manufacture."""
    return Phased(
        href="/oic/p", rt=("oic.wk.p",), interfaces=_READ, secure=False,
        pi=pi, mnmn=mnmn, mnmo=mnmo, mndt=mndt, mnhw=None, mnos=None, mnfv=mnfv,
    )  # fmt: skip


def configuration(store):
    """/oc/con: the Device's name `n`, which an authorized Client may change. Empty until then."""
    try:
        name = str(store.load("name") or b"", "utf-8")
    except ValueError:  # UnicodeError
        name = ""
    return Phased(href="/oc/con", rt=("oic.wk.con",), n=name, store=store)


def maintenance(factory_reset, reboot):
    """/oic/mnt: factory reset (`fr`) and reboot (`rb`) by writing true.

    Both are called without arguments after the answer was sent; either may raise Refused.
    """
    return Phased(
        href="/oic/mnt", rt=("oic.wk.mnt",), dcr=True, fr=False, rb=False, factory_reset=factory_reset, reboot=reboot
    )  # fmt: skip


# What they declare, show and do


def properties(resource):
    """What it declares."""
    return _PROPERTIES.get(resource.href, ())


def represent(resource, interface, request):
    """Pairs, or CBOR of the introspection data."""
    href = resource.href
    device = resource.device
    if href == "/oic/d":
        found = [
            ("n", resource.names.n or resource.name), ("di", device.di), ("icv", "ocf.2.2.5"),
            ("dmv", "ocf.res.1.3.0,ocf.sh.1.3.0"), ("piid", resource.piid), ("sv", resource.sv),
        ]  # fmt: skip
    elif "introspection" in href:
        with phase("ocf.introspection") as code:
            if href == "/oc/introspection":
                return code.document(device, resource.title, resource.version)
            found = [("urlInfo", code.places(resource, request))]
    else:
        found = resource.get()
    return dressed(resource, interface, found)


def update(resource, values):
    """An UPDATE of configuration or maintenance; the values of the latter read false again. Raises Refused."""
    if "n" in values:
        try:
            resource.store.save("name", values["n"].encode())
        except OSError as error:
            refuse("store", error)
        resource.n = values["n"]
        resource.notify()
    elif values.get("fr"):
        resource.factory_reset()
    elif values.get("rb"):
        resource.reboot()
    return True


def reset(names):
    """The configuration goes back to no name. Raises OSError."""
    names.store.remove("name")
    names.n = ""
