"""The Device: holds the Resources and answers for them. It is the handler of every endpoint."""

from cbor import DecodeError, EncodeError, Encoder, Pairs, decode
from coap.message import Refused, Response
from port import const

from ocf.resource import BASELINE

_GET = const(1)
_POST = const(2)
_DELETE = const(4)
_CBOR = const(60)
_OCF_CBOR = const(10000)
_BUFFER = const(768)  # holds every representation but those of discovery
_LARGEST = const(12288)
_LARGEST_BODY = const(4096)
_BATCH = "/oic/res?if=oic.if.b"  # the observation of all discoverable Resources at once
_READ_ONLY = ("oic.if.r", "oic.if.ll", "oic.if.b", "oic.if.s")


class Device:
    """The Resources of one OCF Device.

    `access` is its policy (see ocf.access). `di` is the device's UUID as text. `endpoints(resource, request)` gives the
    URLs under which a Resource is reached; the composition sets it. `seen`, when set, is called with the identity of an
    authenticated Client after each of its exchanges.
    """

    def __init__(self, access, di):
        self.access = access
        self.di = di
        self.resources = []
        self.coap = []  # the coap endpoints that notify
        self.endpoints = lambda resource, request: []
        self.seen = None
        self._buf = bytearray(_BUFFER)

    def add(self, resource):
        """Serve `resource`. Raises ValueError when its href is taken."""
        if self.find(resource.href):
            raise ValueError("there is a Resource at " + resource.href)
        resource.device = self
        self.resources.append(resource)
        for endpoint in self.coap:
            endpoint.notify("/oic/res")
        return resource

    def find(self, href):
        """The Resource at `href`, or None."""
        for resource in self.resources:
            if resource.href == href:
                return resource
        return None

    def notify(self, resource):
        """Tell the observers of `resource`, and of the batch of all, what it is now."""
        for endpoint in self.coap:
            endpoint.notify(resource.href)
            if resource.discoverable:
                endpoint.notify(_BATCH)

    def handle(self, request):
        """Answer a request of coap. Raises Refused."""
        resource = self.find(request.path)
        if request.multicast and (resource is None or request.code != _GET or not resource.discoverable):
            return None
        if resource is None:
            raise Refused(0x84, "no such Resource")
        if not self.access.check(request, resource):
            raise Refused(0x81, "not authorized")
        if request.code == _GET:
            answer = self._get(resource, request)
        elif request.code == _POST:
            answer = self._post(resource, request)
        elif request.code == _DELETE:
            answer = Response(resource.delete(request) or 0x42)
        else:
            raise Refused(0x85, "only RETRIEVE and UPDATE")
        if self.seen:
            identity = self.access.identity(request)
            if identity:
                self.seen(identity)
        return answer

    def _get(self, resource, request):
        interface = self._interface(resource, request)
        found = resource.represent(interface, request)
        if found is None:
            if request.multicast:
                return None
            raise Refused(0x80, "nothing matches the query")
        key = None
        if resource.observable:
            key = _BATCH if interface == "oic.if.b" else resource.href
        return self._answer(0x45, found, request, key)

    def _post(self, resource, request):
        if self._interface(resource, request) in _READ_ONLY:
            raise Refused(0x85 if resource.interfaces[0] in _READ_ONLY else 0x80, "this Interface is for reading")
        if request.content_format not in (None, _CBOR, _OCF_CBOR):
            raise Refused(0x8F, "the content format must be 60 or 10000")
        if len(request.payload) > _LARGEST_BODY:
            raise Refused(0x8D, "the payload is longer than %d" % _LARGEST_BODY)
        try:
            body = decode(request.payload)
        except DecodeError as error:
            raise Refused(0x80, "the payload is not CBOR: %s" % error)  # noqa: B904 - no `from` on MicroPython
        if not isinstance(body, dict):
            raise Refused(0x80, "the payload is not a map")
        if resource.post(body, request):
            return self._answer(0x44, resource.represent(resource.interfaces[0], request), request, None)
        return Response(0x44)

    def _interface(self, resource, request):
        """The Interface that the request asks for, which the Resource must have."""
        for part in request.query:
            if part.startswith("if="):
                if part[3:] not in resource.interfaces:
                    raise Refused(0x80, "this Resource has no such Interface")
                return part[3:]
        return resource.interfaces[0]

    def _answer(self, code, found, request, observe):
        if request.accept not in (None, _CBOR, _OCF_CBOR):
            raise Refused(0x86, "only content formats 60 and 10000 can be had")
        accept = request.accept or _OCF_CBOR
        payload = found if isinstance(found, (bytes, bytearray, memoryview)) else self.encode(found)
        return Response(code, payload, accept, observe, ocf_version=2048 if accept == _OCF_CBOR else None)

    def encode(self, found):
        """A representation (list of pairs, or list of Pairs) as CBOR: a view that the next call overwrites."""
        buf = self._buf
        while True:
            encoder = Encoder(buf)
            try:
                if found and isinstance(found[0], tuple):
                    encoder.pairs(found, len(found))
                else:
                    encoder.encode(list(found))
                return encoder.view()
            except EncodeError:
                if len(buf) >= _LARGEST:
                    raise
                buf = bytearray(len(buf) * 2)


def link(device, resource, request):
    """How `resource` is announced in /oic/res."""
    eps = [Pairs([("ep", url)]) for url in device.endpoints(resource, request)]
    bm = (1 if resource.discoverable else 0) | (2 if resource.observable else 0)
    found = [
        ("anchor", "ocf://" + device.di),
        ("href", resource.href),
        ("rt", resource.rt),
        ("if", resource.interfaces),
        ("p", Pairs([("bm", bm)])),
        ("eps", eps),
    ]
    if resource.href == "/oic/res":
        found.insert(1, ("rel", ["self"]))
    return Pairs(found)

