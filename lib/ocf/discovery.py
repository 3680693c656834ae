"""/oic/res: what there is on this Device (OCF Core, discovery)."""

from cbor import Pairs

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
            # One entry at a time: the links of all Resources at once would be several KB of objects.
            if interface == BASELINE:
                out.head(4, 1)
                out.head(5, 3)
                for value in ("rt", self.rt, "if", self.interfaces, "links"):
                    out.encode(value)
            out.head(4, len(found))
            for resource in found:
                if batch:
                    out.encode(Pairs((("href", resource.href), ("rep", resource.represent(BASELINE, request)))))
                else:
                    out.encode(self._link(resource, request))

        return device.encode(write)

    def _link(self, resource, request):
        """How `resource` is announced."""
        eps = [Pairs((("ep", url),)) for url in self.device.endpoints(resource, request)]
        bm = 3 if resource.observable else 1
        found = Pairs((
            ("anchor", "ocf://" + self.device.di),
            ("href", resource.href),
            ("rt", resource.rt),
            ("if", resource.interfaces),
            ("p", Pairs((("bm", bm),))),
            ("eps", eps),
        ))  # fmt: skip
        if resource is self:
            found.insert(1, ("rel", ("self",)))
        return found
