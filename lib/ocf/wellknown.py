"""Where the introspection data is, and the data itself (OCF Core, device introspection)."""

from cbor import Pairs
from port import phase

from ocf.core import READ
from ocf.resource import Property, Resource

_DATA = "/oc/introspection"


class Introspection(Resource):
    """/oc/wk/introspection: says where the introspection data is."""

    href = "/oc/wk/introspection"
    rt = ("oic.wk.introspection",)
    interfaces = READ
    observable = False
    properties = (Property("urlInfo", list),)

    def represent(self, interface, request):
        """One URL for each way in which this Device is reached."""
        kind = ("content-type", "application/cbor")
        urls = self.device.endpoints(self, request)
        self.urlInfo = [Pairs((("protocol", url.split(":")[0]), kind, ("url", url + _DATA))) for url in urls]
        return super().represent(interface, request)


class IntrospectionData(Resource):
    """/oc/introspection: the data, made anew for each reader (who fetches it in blocks)."""

    href = _DATA
    rt = ("x.fargo.introspection",)
    interfaces = READ
    observable = discoverable = False

    def __init__(self, title, version):
        super().__init__(title=title, version=version)

    def represent(self, interface, request):
        """The document of all Resources."""
        with phase("ocf.introspection") as introspection:
            return introspection.document(self.device, self.title, self.version)
