"""Objects from a CoAP server, as the Source of docs/architecture.md: part of the install phase."""

import asyncio

from coap.download import Download, Failed
from coap.endpoint import Endpoint
from coap.exchange import TransferError
from port import address, phase
from swupdate.faults import Fault
from swupdate.install.pace import Pace

_ALERTS = {  # RFC 5246 section 7.2, RFC 4279 section 6
    20: "the keys of both sides differ",
    51: "the keys of both sides differ",
    40: "it has no key and no certificate for this Device",
    115: "it does not know this Device",
}


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
        self._schemes = ("coaps" if transport.secure else "coap",)
        self._transport = transport
        self._trust = trust
        self._endpoint = Endpoint(transport)
        self._task = None
        self._peer = self._url = self._download = None

    async def get(self, url, limit):
        """The object at `url`, whole, at most `limit` bytes: a bytearray."""
        data = bytearray()
        try:
            download = await self._open(url)
            self._pace.begin()
            await download.start()
            while True:
                count = await download.available()
                if len(data) + max(count, download.size or 0 if not data else 0) > limit:
                    raise Fault("invalid", "%s has more than the %d bytes that it may have" % (url, limit))
                if not count:
                    return data
                part = bytearray(count)
                await download.readinto(memoryview(part))
                self._pace.got(count)
                data.extend(part)
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
                count = min(await download.available(), len(view)) or 1  # at the end: `readinto` says what is wrong
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
        with phase("swupdate.install.reference", "swupdate.url") as (references, urls):
            _scheme, host, port, rest = urls.parse(references.locate(self._base, url), self._schemes)
        if self._task is None:
            self._task = asyncio.create_task(self._endpoint.run())
        peer = address(await self._resolver.resolve(host), port)
        if self._transport.secure:
            peer = await self._session(peer)
        path, mark, query = rest.partition("?")
        self._download = Download(
            self._endpoint,
            peer,
            "/".join(_plain(part) for part in path.split("/")),
            [_plain(part) for part in query.split("&")] if mark else (),
            timeout_ms=self._timeout,
        )
        self._url = url
        return self._download

    async def _session(self, server):
        """A session with `server`: the one that is open, or a new one."""
        peer = self._peer
        if not peer or not peer.open or peer.address != server:
            try:
                peer = self._peer = await self._transport.connect(server, self._timeout)
            except OSError as error:
                why = error if hasattr(error, "code") else "no answer"
                why = getattr(self._trust, "refused", "") or _ALERTS.get(getattr(error, "code", None), why)
                raise Fault("lost", "no secured connection with the server: %s" % why) from None
        return peer


def _plain(text):
    """`text` without percent encoding; what is no UTF-8, or would be two segments of a path, is Fault "url"."""
    head, *parts = text.split("%")
    data = head.encode()
    for part in parts:
        data += bytes((int(part[:2], 16),)) + part[2:].encode()
    try:
        plain = str(data, "utf-8")
    except ValueError:
        plain = "/"
    if "/" in plain and "/" not in text:
        raise Fault("url", "the package URL holds a character that CoAP cannot carry")
    return plain


def _fault(error):
    if isinstance(error, Failed):
        status = (error.code >> 5) * 100 + (error.code & 31)
        return Fault("status", "the server answered %s" % error, status)
    if isinstance(error, TransferError):
        return Fault("lost", "the transfer failed: %s" % error)
    return Fault("lost", "the server was lost: %s" % error)
