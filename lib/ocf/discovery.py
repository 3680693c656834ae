"""/oic/res: what there is on this Device (OCF Core, discovery)."""

from cbor import Pairs

from ocf.device import link
from ocf.resource import BASELINE, Resource


class Discovery(Resource):
    """The links of all discoverable Resources; their representations through the batch Interface.

    The batch shows what the Client that asks may read.
    """

    href = "/oic/res"
    rt = ("oic.wk.res",)
    interfaces = ("oic.if.ll", "oic.if.b", BASELINE)

    def represent(self, interface, request):
        """Links, a batch, or the baseline; None when no Resource matches the query."""
        rt = _query(request, "rt")
        found = []
        for resource in self.device.resources:
            if not resource.discoverable or (rt and rt not in resource.rt):
                continue
            if interface != "oic.if.b":
                found.append(link(self.device, resource, request))
            elif resource is not self and self.device.access.check(request, resource):
                rep = Pairs(resource.represent(BASELINE, request))
                found.append(Pairs([("href", resource.href), ("rep", rep)]))
        if rt and not found:
            return None
        if interface == BASELINE:
            return [Pairs([("rt", self.rt), ("if", self.interfaces), ("links", found)])]
        return found


def _query(request, name):
    for part in request.query:
        if part.startswith(name + "="):
            return part[len(name) + 1 :]
    return ""
