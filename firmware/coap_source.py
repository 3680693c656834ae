"""Objects from a CoAP server, as the Source of docs/architecture.md: part of the install phase."""

import asyncio

from coap.endpoint import Endpoint
from port import phase
from swupdate.faults import Fault
from swupdate.install.pace import Pace


class CoapSource:
    """A Source over CoAP, through `transport`, which it closes; or through an `endpoint` that runs already, and stays open.

    `url` is what relative URLs are resolved against; `resolver` has `async resolve(name) -> numeric address`, and may
    refuse it; `limits` may have `read_s` (15), how long a handshake or a block may take, and what Pace takes from it.
    The code of downloads is in memory from a first request to `rest` or `close`. Every method may raise Fault: "lost",
    "status" (4.04 is 404), "url", "scheme".
    """

    def __init__(self, url, resolver, transport, limits=None, endpoint=None):
        self._base = url
        self._resolver = resolver
        self._timeout = getattr(limits, "read_s", 15) * 1000
        self._pace = Pace(limits)
        self._own = endpoint is None
        self._endpoint = endpoint or Endpoint(transport)
        self._task = self._url = self._download = self._code = None

    async def get(self, url, limit):
        """The object at `url`, whole, at most `limit` bytes: a bytearray."""
        try:
            download = await self._open(url)
            self._pace.begin()
            await download.start()
            with phase("firmware.coap_get") as coap:
                return await coap.get(download, url, limit, self._pace)
        except OSError as error:
            raise _fault(error) from None

    async def start(self, url, offset, length, etag=None):
        """Begin `length` bytes at `offset` of the object at `url`; its entity tag (bytes) or None."""
        try:
            download = await self._open(url)
            etag = await download.start(offset, length, etag)
        except OSError as error:
            raise _fault(error) from None
        if download.size is not None and download.size < offset + length:
            raise Fault("lost", "the server has a file of %d bytes only" % download.size, 416)
        return etag

    async def readinto(self, view):
        """Fill `view` with the next bytes of the object."""
        download = self._download
        self._pace.begin()
        try:
            while len(view):
                count = min(await download.available(), len(view))
                if not count:
                    raise Fault("lost", "the file ends too early", 416)
                await download.readinto(view[:count])
                self._pace.got(count)
                view = view[count:]
        except OSError as error:
            raise _fault(error) from None

    def rest(self):
        """Nothing is asked for soon: the code of downloads leaves memory."""
        self._forget()
        code, self._code = self._code, None
        if code:
            code.__exit__()

    async def close(self):
        """Close the transport, if it is the Source's own: the Source cannot be used again."""
        self.rest()
        if self._own:
            self._endpoint.close()
        if self._task:
            try:
                await self._task
            except asyncio.CancelledError:
                pass

    def _forget(self):
        if self._download:
            self._download.close()
        self._url = self._download = None

    async def _open(self, url):
        """The Download of `url`; what it learnt about the way to the server is kept as long as the URL is the same."""
        if url == self._url:
            return self._download
        self._forget()
        transport = self._endpoint.transport
        if self._own and self._task is None:
            self._task = asyncio.create_task(self._endpoint.run())
        with phase("firmware.coap_target") as coap:
            host, port, path, query = coap.target(self._base, url, transport.secure)
        host = await self._resolver.resolve(host)
        with phase("firmware.coap_connect") as coap:
            peer = await coap.connect(transport, host, port, self._timeout)
        if not self._code:
            code = phase("coap.download")
            code.__enter__()
            self._code = code
        self._download = self._made(peer, path, query)
        self._url = url
        return self._download

    def _made(self, peer, path, query):
        with phase("coap.download") as coap:
            return coap.Download(self._endpoint, peer, path, query, timeout_ms=self._timeout)


def _fault(error):
    with phase("firmware.coap_lost") as lost:
        return lost.fault(error)
