"""Where the introspection data is, and the data itself."""

from cbor import Pairs
from port import phase

from ocf.resource import BASELINE, Property, Resource

_READ = ("oic.if.r", BASELINE)


class Introspection(Resource):
    """/oc/wk/introspection: says where the introspection data is."""

    href = "/oc/wk/introspection"
    rt = ("oic.wk.introspection",)
    interfaces = _READ
    observable = False
    properties = (Property("urlInfo", list),)

    def represent(self, interface, request):
        """One URL for each way in which this Device is reached."""
        found = []
        for url in self.device.endpoints(self, request):
            scheme = url.split(":")[0]
            found.append(
                Pairs([("protocol", scheme), ("content-type", "application/cbor"), ("url", url + IntrospectionData.href)])
            )
        self.urlInfo = found
        return super().represent(interface, request)


class IntrospectionData(Resource):
    """/oc/introspection: the data, made anew for each reader (who fetches it in blocks)."""

    href = "/oc/introspection"
    rt = ("x.fargo.introspection",)
    interfaces = _READ
    observable = False
    discoverable = False

    def __init__(self, title, version):
        super().__init__(title=title, version=version)

    def represent(self, interface, request):
        """The document of all Resources."""
        with phase("ocf.introspection") as introspection:
            return introspection.document(self.device, self.title, self.version)
