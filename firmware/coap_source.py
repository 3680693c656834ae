"""Objects from a CoAP server, as the Source of docs/architecture.md: part of the install phase."""

import asyncio

from coap.endpoint import Endpoint
from port import const, phase
from swupdate.faults import Fault
from swupdate.install.pace import Pace

_DATAGRAM = const(1500)  # of a handshake, or with the largest block
_BESIDE = const(192)  # bytes that a datagram has beside its block: those of DTLS, and options


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

    async def get(self, url, limit, buf=None):
        """The object at `url`, whole, at most `limit` bytes: bytes-like, of `buf` when that is given and has room."""
        try:
            download = await self._open(url)
            self._pace.begin()
            await download.start()
            with phase("firmware.coap_get") as coap:
                return await coap.get(download, url, limit, self._pace, buf)
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
        # Nothing longer comes of this object, and a larger piece for each datagram may be the radio's.
        self._expect(download.size_of_block() + _BESIDE)
        try:
            await download.readinto(view, self._pace.got)
        except OSError as error:
            if download.size is not None and download.at >= download.size:
                raise Fault("lost", "the file ends too early", 416) from None
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

    def _expect(self, size):
        """Datagrams have so many bytes at most from now on."""
        transport = self._endpoint.transport
        getattr(transport, "datagrams", transport).limit = size

    def _forget(self):
        if self._download:
            self._download.close()
            self._expect(_DATAGRAM)
        self._url = self._download = None

    async def _open(self, url):
        """The Download of `url`; what it learnt about the way to the server is kept as long as the URL is the same."""
        if url != self._url:
            self.rest()
            if self._own and self._task is None:
                self._task = asyncio.create_task(self._endpoint.run())
            way = await self._way(url)
            code = phase("coap.download")
            code.__enter__()
            self._code = code
            self._download = self._made(*way)
            self._url = url
        return self._download

    async def _way(self, url):
        with phase("firmware.coap_way") as code:
            return await code.find(self._endpoint.transport, self._resolver, self._base, url, self._timeout)

    def _made(self, peer, path, query):
        with phase("coap.download") as coap:
            return coap.Download(self._endpoint, peer, path, query, timeout_ms=self._timeout)


def _fault(error):
    with phase("firmware.coap_lost") as lost:
        return lost.fault(error)
