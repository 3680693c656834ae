"""/oic/res: what there is on this Device (OCF Core, discovery)."""

from ocf.resource import BASELINE, Resource


class Discovery(Resource):
    """The links of all discoverable Resources; their representations through the batch Interface.

    The batch shows what the Client that asks may read. `rt=` in the query selects by type, several by any of them.
    """

    href = "/oic/res"
    rt = ("oic.wk.res",)
    interfaces = ("oic.if.ll", "oic.if.b", BASELINE)
    secure = False

    def represent(self, interface, request):
        """Links, a batch, or the baseline; None when no Resource matches the query."""
        device = self.device
        batch = interface == "oic.if.b"
        found = [r for r in device.resources if r.discoverable and r.matches(request)]
        if not found:
            return None
        if batch:
            found = [r for r in found if r is not self and device.access.check(request, r)]

        def write(out):
            # Item by item: the links of all Resources at once would be several KB of objects.
            if interface == BASELINE:
                uuid, name, private = device.sdi() if device.sdi else (None, "", True)
                out.head(4, 1)
                out.head(5, 3 if private else 5)
                out.each("rt", self.rt, "if", self.interfaces)
                if not private:
                    out.each("sduuid", uuid, "sdname", name)
                out.each("links")
            out.head(4, len(found))
            for resource in found:
                if batch:
                    out.head(5, 2)
                    out.each("href", resource.href, "rep", resource.represent(BASELINE, request))
                else:
                    self._link(out, resource, request)

        return device.encode(write)

    def _link(self, out, resource, request):
        """How `resource` is announced."""
        if resource is self:
            out.head(5, 7)
            out.each("rel", ("self",))
        else:
            out.head(5, 6)
        out.each(
            "anchor", "ocf://" + self.device.di, "href", resource.href, "rt", resource.rt, "if", resource.interfaces
        )
        out.each("p", {"bm": 3 if resource.observable else 1}, "eps")
        eps = self.device.endpoints(resource, request)
        out.head(4, len(eps))
        for url in eps:
            out.each({"ep": url})
