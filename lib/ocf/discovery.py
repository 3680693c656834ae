"""What /oic/res shows (OCF Core, discovery). A phase."""

from port import phase

from ocf.resource import BASELINE
from ocf.stream import written


def properties(_discovery):
    """None: nothing of it can be written, and introspection is not about it."""
    return ()


def represent(discovery, interface, request):
    """Links, a batch, or the baseline, in CBOR; None when no Resource matches the query."""
    device = discovery.device
    batch = interface == "oic.if.b"
    found = [r for r in device.resources if r.discoverable and r.matches(request)]
    if not found:
        return None
    if batch:
        found = [r for r in found if r is not discovery and device.access.check(request, r)]

    def write(out):
        # Item by item: the links of all Resources at once would be several KB of objects.
        if interface == BASELINE:
            uuid, name, private = getattr(device.access, "sdi", (None, "", True))
            out.head(4, 1)
            out.head(5, 3 if private else 5)
            out.each("rt", discovery.rt, "if", discovery.interfaces)
            if not private:
                out.each("sduuid", uuid, "sdname", name)
            out.each("links")
        out.head(4, len(found))
        for resource in found:
            if batch:
                out.head(5, 2)
                out.each("href", resource.href, "rep", resource.represent(BASELINE, request))
            else:
                _link(out, resource, request, device, resource is discovery)

    if not batch:
        return written(device, write)
    with phase("ocf.core"):  # once for all that it is about
        return written(device, write)


def _link(out, resource, request, device, itself):
    """How `resource` is announced."""
    if itself:
        out.head(5, 7)
        out.each("rel", ("self",))
    else:
        out.head(5, 6)
    out.each("anchor", "ocf://" + device.di, "href", resource.href, "rt", resource.rt, "if", resource.interfaces)
    out.each("p", {"bm": 3 if resource.observable else 1}, "eps")
    eps = device.endpoints(resource, request) if device.endpoints else ()
    out.head(4, len(eps))
    for url in eps:
        out.each({"ep": url})
