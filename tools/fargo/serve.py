"""The release server: the files of one folder over HTTPS, and over CoAP secured by DTLS."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from coap.endpoint import Endpoint
from coap.message import Refused
from coap.message import Response as CoapResponse
from dtls.transport import DtlsTransport
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fargo import secure
from fargo.authority import Authority
from fargo.console import CONNECTION, Failure
from fargo.folder import Folder, Item
from fargo.sockets import Datagrams, bind, bracket

# Every piece becomes one TLS record. The chip's TLS must hold a record whole, and its TCP window is 5,760 bytes: with
# header and tag a record stays below 4 KB.
PIECE = 3840
_GET, _ETAG, _BLOCK2, _SIZE2, _OCTETS = 1, 4, 23, 28, 42
_LARGEST = 6  # block 0 of 1024 bytes
_KEEP_ALIVE = 75  # seconds; a device that erases flash says nothing for a while
_CONNECTIONS = 64
_START_TIMEOUT = 10.0
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Unsatisfiable(ValueError):
    """A range that lies outside the file."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, end) of a Range field (RFC 9110, 14.1.2), end exclusive; None when it must be ignored.

    Several ranges at once are ignored, which a server may. Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise Unsatisfiable(header)
    return start, end


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]


@dataclass
class Count:
    """What went out for one path: requests answered, and bytes of bodies handed to the connection."""

    requests: int = 0
    bytes: int = 0


@dataclass
class Served:
    """One answered request, for the log."""

    protocol: str
    peer: str
    method: str
    path: str
    status: str
    range: str = ""


class Server:
    """Serves `folder` from a thread of its own, between `start` and `stop` or in a `with` block.

    `keys` (UUID of a device -> key) are for devices that know this server by `uuid` and a shared key rather than by its
    certificate. After `start`, `https_port` and `coaps_port` are the ports in use; a stopped server starts again on the same
    ones.
    """

    def __init__(
        self,
        folder: Path | str,
        authority: Authority,
        host: str = "127.0.0.1",
        https_port: int | None = 0,
        coaps_port: int | None = 0,
        names: Iterable[str] = ("localhost", "127.0.0.1", "::1"),
        log: Callable[[Served], None] | None = None,
        keys: dict[str, bytes] | None = None,
        uuid: str = "",
    ) -> None:
        self.folder = Folder(folder)
        self.authority = authority
        self.host = host
        self.https_port = https_port
        self.coaps_port = coaps_port
        self.names = [*names]
        if host not in ("0.0.0.0", "::", *self.names):
            self.names.append(host)
        self.keys = keys
        self.uuid = uuid
        self.counts: dict[tuple[str, str], Count] = {}
        self._log = log
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()

    # What is served. A subclass may answer otherwise.

    def open(self, path: str) -> Item | None:
        """The file for a URL path, or None."""
        return self.folder.open(path)

    async def pieces(self, item: Item, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes of an HTTPS body, in pieces of one TLS record each."""
        while start < end:
            piece = item.read(start, min(PIECE, end - start))
            if not piece:
                raise OSError(f"{item.path} became shorter while it was sent")
            start += len(piece)
            yield piece

    # Counters and addresses.

    def url(self, path: str = "", host: str | None = None) -> str:
        """The https URL of a path below the folder."""
        return f"https://{bracket(host or self._address())}:{self.https_port}/{quote(path.lstrip('/'))}"

    def coaps_url(self, path: str = "", host: str | None = None) -> str:
        """The coaps URL of a path below the folder."""
        return f"coaps://{bracket(host or self._address())}:{self.coaps_port}/{quote(path.lstrip('/'))}"

    def count(self, path: str, protocol: str | None = None) -> Count:
        """What went out for `path` ("/1.1.0.suit"), over "https", "coaps" or (None) both."""
        with self._lock:
            found = [c for (p, at), c in self.counts.items() if at == path and protocol in (None, p)]
            return Count(sum(c.requests for c in found), sum(c.bytes for c in found))

    def total(self, protocol: str | None = None) -> Count:
        """What went out in all."""
        with self._lock:
            found = [c for (p, _), c in self.counts.items() if protocol in (None, p)]
            return Count(sum(c.requests for c in found), sum(c.bytes for c in found))

    def _address(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    def _counted(self, protocol: str, path: str, requests: int = 0, size: int = 0) -> None:
        with self._lock:
            count = self.counts.setdefault((protocol, path), Count())
            count.requests += requests
            count.bytes += size

    def _served(self, served: Served) -> None:
        if self._log is not None:
            self._log(served)

    # HTTPS.

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        request = Request(scope, receive)
        response = await self._respond(request)
        peer = request.client.host if request.client else ""
        status, span = str(response.status_code), response.headers.get("content-range", "")
        self._served(Served("https", peer, request.method, scope["path"], status, span))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD"})
        path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
        item = self.open(path)
        if item is None:
            return Response(status_code=404)
        tag = f'"{item.digest.hex()}"'
        headers = {
            "ETag": tag,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
        }
        ask = request.headers
        if "if-match" in ask and not {tag, "*"} & set(_tags(ask["if-match"])):
            return Response(status_code=412, headers=headers)
        if "if-none-match" in ask and {tag, "W/" + tag, "*"} & set(_tags(ask["if-none-match"])):
            return Response(status_code=304, headers=headers)
        start, end, status = 0, item.size, 200
        # Dates and weak tags never equal a strong tag: then the whole file is sent (RFC 9110, 13.1.5).
        if request.method == "GET" and "range" in ask and ask.get("if-range", tag) == tag:
            try:
                span = byte_range(ask["range"], item.size)
            except Unsatisfiable:
                headers["Content-Range"] = f"bytes */{item.size}"
                return Response(status_code=416, headers=headers)
            if span is not None:
                (start, end), status = span, 206
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{item.size}"
        headers["Content-Length"] = str(end - start)
        self._counted("https", path, requests=1)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamingResponse(self._body(path, item, start, end), status, headers)

    async def _body(self, path: str, item: Item, start: int, end: int) -> AsyncIterator[bytes]:
        async for piece in self.pieces(item, start, end):
            self._counted("https", path, size=len(piece))
            yield piece

    # The thread.

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Raises Failure when a port cannot be had."""
        if self._thread is not None:
            raise RuntimeError("already started")
        sockets: list[socket.socket] = []
        try:
            https = coaps = None
            if self.https_port is not None:
                https = bind(self.host, self.https_port, socket.SOCK_STREAM)
                sockets.append(https)
                self.https_port = https.getsockname()[1]
            if self.coaps_port is not None:
                coaps = bind(self.host, self.coaps_port, socket.SOCK_DGRAM)
                sockets.append(coaps)
                self.coaps_port = coaps.getsockname()[1]
            ready: list[BaseException | None] = []
            event = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(https, coaps, ready, event)), name="fargo-serve", daemon=True
            )
            self._thread.start()
            if not event.wait(_START_TIMEOUT):
                raise Failure("the server did not start in time", code=CONNECTION)
            if ready and ready[0] is not None:
                raise ready[0]
        except BaseException:
            self.stop()
            for sock in sockets:
                sock.close()
            raise

    def stop(self) -> None:
        """Stop at once: open connections are cut."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:  # the loop has ended by itself
                pass
        thread.join(_START_TIMEOUT)

    async def _run(self, https: Any, coaps: Any, ready: list[BaseException | None], event: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: list[asyncio.Task[Any]] = []
        server: uvicorn.Server | None = None
        try:
            issued = self.authority.server(self.names)
            if https is not None:
                server = self._uvicorn(*issued)
                tasks.append(asyncio.create_task(server.serve(sockets=[https])))
                while not server.started and not tasks[0].done():
                    await asyncio.sleep(0.005)
            if coaps is not None:
                tasks.append(asyncio.create_task(self._run_coaps(coaps, *issued)))
                await asyncio.sleep(0)
            ready.append(next((task.exception() for task in tasks if task.done()), None))
            event.set()
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        except BaseException as exc:
            ready.append(exc)
        finally:
            event.set()
            if server is not None:
                server.should_exit = server.force_exit = True
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
                await asyncio.wait(tasks[:1], timeout=2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if coaps is not None:
                coaps.close()

    def _uvicorn(self, certificate: Path, key: Path) -> uvicorn.Server:
        config = uvicorn.Config(
            self,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        config.load()
        assert config.ssl is not None
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        return uvicorn.Server(config)

    # CoAP.

    async def _run_coaps(self, sock: socket.socket, certificate: Path, key: Path) -> None:
        own = secure.read_chain(certificate), secure.read_key(key)
        credentials = secure.ServerCredentials(*own, self.keys, self.uuid)
        transport = DtlsTransport(Datagrams(sock), credentials, limit=_CONNECTIONS)
        transport.places = _CONNECTIONS  # a fleet comes all at once, and each device calculates for seconds
        await Endpoint(transport, self.answer).run()

    def answer(self, request: Any) -> CoapResponse:
        """One GET of a file, or of a block of it (RFC 7959): files are never loaded whole."""
        if request.code != _GET:
            raise Refused(0x85, "only GET")
        path = quote(request.path)
        item = self.open(path)
        if item is None:
            raise Refused(0x84, "no such file")
        etag = item.digest[:8]
        block = _LARGEST if request.block2 is None else request.block2
        number, size_exponent = block >> 4, block & 7
        offset, length = number << size_exponent + 4, 1 << size_exponent + 4
        if size_exponent == 7 or (number and offset >= item.size):
            raise Refused(0x80, "no such block")
        self._counted("coaps", path, requests=1)
        if number == 0:
            self._served(Served("coaps", str(request.peer.address[0]), "GET", request.path, "2.05"))
            if request.etag == etag:
                return CoapResponse(0x43, options=[(_ETAG, etag)])
        payload = item.read(offset, length)
        more = offset + len(payload) < item.size
        options: list[tuple[int, Any]] = [(_ETAG, etag)]
        if number or more or request.block2 is not None:
            options += [(_BLOCK2, number << 4 | more << 3 | size_exponent), (_SIZE2, item.size)]
        self._counted("coaps", path, size=len(payload))
        return CoapResponse(0x45, payload, _OCTETS, options=options, ocf_version=None)
