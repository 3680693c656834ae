"""Objects from a CoAP server, as the Source of docs/architecture.md: part of the install phase."""

import asyncio

from coap.download import Download
from coap.endpoint import Endpoint
from port import phase
from swupdate.faults import Fault
from swupdate.install.pace import Pace


class CoapSource:
    """A Source over CoAP, through `transport`, which it closes.

    `url` is what relative URLs are resolved against; `resolver` has `async resolve(name) -> numeric address`, and may
    refuse it; `limits` may have `read_s` (15), how long a handshake or a block may take, and what Pace takes from it;
    `trust` the credentials of the transport, which say why a server was `refused`. Every method may raise Fault: "lost",
    "status" (4.04 is 404), "url", "scheme".
    """

    def __init__(self, url, resolver, transport, limits=None, trust=None):
        self._base = url
        self._resolver = resolver
        self._timeout = getattr(limits, "read_s", 15) * 1000
        self._pace = Pace(limits)
        self._transport = transport
        self._trust = trust
        self._endpoint = Endpoint(transport)
        self._task = None
        self._peer = self._url = self._download = None

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

    async def close(self):
        """Close the transport: the Source cannot be used again."""
        self._forget()
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
        if self._task is None:
            self._task = asyncio.create_task(self._endpoint.run())
        with phase("firmware.coap_connect") as connect:
            self._peer, path, query = await connect.connect(
                self._base, url, self._resolver, self._transport, self._peer, self._timeout, self._trust
            )
        self._download = Download(self._endpoint, self._peer, path, query, timeout_ms=self._timeout)
        self._url = url
        return self._download


def _fault(error):
    with phase("firmware.coap_lost") as lost:
        return lost.fault(error)
