"""The Device: holds the Resources and answers for them. It is the handler of every endpoint."""

from cbor import EncodeError, Encoder, Pairs, dumps
from coap.message import Refused, Response
from port import const, phase

from ocf.resource import refuse

_GET = const(1)
_POST = const(2)
_DELETE = const(4)
_OCF_CBOR = const(10000)
_FORMATS = const((None, 60, _OCF_CBOR))
_MESSAGE = const(1280)
_HEAD = const(256)  # more than comes before the payload; the rest holds every representation but those of discovery
_LARGEST = const(16384)
_BATCH = "/oic/res?if=oic.if.b"  # the observation of all discoverable Resources at once


class Device:
    """The Resources of one OCF Device.

    `access` is its policy (docs/architecture.md, ocf.security). `di` is the device's UUID as text. `out` is where the
    endpoints of coap put messages together; representations are written into the same memory, behind the place for the
    message's head, and moved when the message is made. A larger one gets memory of its own.
    `endpoints(resource, request)`, when set, gives the URLs under which a Resource is reached. `seen`,
    when set, is called with the identity of an authenticated Client after each of its exchanges.
    """

    endpoints = None
    seen = None
    # There from the very beginning, and so not amidst the heap: the one piece of this size.
    out = memoryview(bytearray(_MESSAGE))
    buf = out[_HEAD:]

    def __init__(self, access, di):
        self.access = access
        self.di = di
        self.resources = []
        self.coap = []  # the coap endpoints that notify

    def add(self, resource):
        """Serve `resource`. Raises ValueError when its href is taken."""
        if self.find(resource.href):
            raise ValueError("there is a Resource at " + resource.href)
        resource.device = self
        self.resources.append(resource)
        links = self.find("/oic/res")
        if links and resource.discoverable:
            self.notify(links)
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
        """Answer a request of coap; None is silence. Raises Refused, and then nothing was changed."""
        resource = self.find(request.path)
        if request.multicast and (resource is None or request.code != _GET or not resource.discoverable):
            return None
        if resource is None:
            raise Refused(0x84, "no such Resource")
        if not self.access.check(request, resource):
            raise Refused(0x81, "not authorized")
        if request.accept not in _FORMATS:
            refuse("accept")
        if request.code == _GET:
            answer = self._get(resource, request)
        elif request.code == _POST:
            answer = self._post(resource, request)
        elif request.code == _DELETE:
            answer = Response(resource.delete(request) or 0x42)
        else:
            refuse("code")
        if self.seen and request.identity:
            self.seen(request.identity)
        return answer

    def _get(self, resource, request):
        interface = self._interface(resource, request)
        found = resource.represent(interface, request)
        if found is None:
            if request.multicast:
                return None
            refuse("rt")
        if hasattr(found, "send"):
            return self._later(found, request)
        key = None
        if resource.observable:
            key = _BATCH if interface == "oic.if.b" else resource.href
        return self._answer(0x45, found, request, key)

    def _post(self, resource, request):
        interface = self._interface(resource, request)
        with phase("ocf.update") as code:
            body = code.body(resource, request, interface)
        done = resource.post(body, request)
        if hasattr(done, "send"):
            return self._later(done, request)
        if done:
            return self._answer(0x44, resource.represent(resource.interfaces[0], request), request, None)
        return Response(0x44)

    async def _later(self, coroutine, request):
        """The answer once a Resource that takes its time is done: what it shows, or that it was changed."""
        found = await coroutine
        return self._answer(0x45, found, request, None) if found else Response(0x44)

    def _interface(self, resource, request):
        """The Interface that the request asks for, which the Resource must have."""
        for part in request.query:
            if part.startswith("if="):
                if part[3:] not in resource.interfaces:
                    refuse("if")
                return part[3:]
        return resource.interfaces[0]

    def _answer(self, code, found, request, observe):
        if isinstance(found, Pairs):
            encoder = Encoder(self.buf)
            try:
                encoder.encode(found)
                found = encoder.view()
            except EncodeError:
                found = dumps(found, _LARGEST)
        return Response(code, found, request.accept or _OCF_CBOR, observe)
