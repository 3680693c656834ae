"""Sockets of a Client: one in the clear, and those for DTLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import cbor
from coap.client import Client
from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport

from fargo import secure

CBOR, OCF_CBOR = 60, 10000


class Link:
    """A socket for secured connections, all with the same credentials."""

    def __init__(self, host: str, credentials: secure.Credentials) -> None:
        self.transport = DtlsTransport(UdpTransport(host, 0, limit=secure.DATAGRAM), credentials, server=False)
        self.endpoint = Endpoint(self.transport)
        self.client = Client(self.endpoint)
        self.transport.closed = self._closed
        self._task = asyncio.ensure_future(self.endpoint.run())

    def _closed(self, session: Any) -> None:
        """Nothing more comes through this session: who waits is told at once."""
        for waiting in list(self.endpoint.tokens.values()):
            if waiting.peer is session:
                waiting.finish(ConnectionResetError("the session is closed"))

    async def connect(self, peer: Any, timeout: float) -> Any:
        """A session with the device at `peer`. Raises OSError."""
        return await self.transport.connect(peer, int(1000 * timeout))

    def drop(self, session: Any, alert: bool = True) -> None:
        """Close a session; `alert`: tell the device."""
        self.transport.drop(session, alert)

    async def request(
        self, session: Any, code: int, path: str, body: Any, timeout: float, query: Iterable[str] = ()
    ) -> Any:
        """One exchange; `body` is what is to be encoded. Raises OSError."""
        return await exchange(self.client, session, code, path, query, body, timeout)

    async def close(self) -> None:
        """End all sessions, and give up the socket."""
        self.endpoint.close()
        await asyncio.gather(self._task, return_exceptions=True)


async def exchange(
    client: Client, peer: Any, code: int, path: str, query: Iterable[str], body: Any, timeout: float
) -> Any:
    """One request, whose `body` is encoded here, and its reply. Raises OSError."""
    return await client.request(
        peer,
        code,
        path,
        query=tuple(query),
        payload=b"" if body is None else cbor.dumps(body),
        content_format=None if body is None else OCF_CBOR,
        accept=OCF_CBOR,
        timeout_ms=int(1000 * timeout),
    )


class Network:
    """One socket in the clear, and the Links. `interface` is the local address, "" for the system's choice."""

    def __init__(self, interface: str = "", ipv6: bool = False) -> None:
        self.host = interface or ("::" if ipv6 else "0.0.0.0")
        self.endpoint = Endpoint(UdpTransport(self.host, 0))
        self.client = Client(self.endpoint)
        self._task = asyncio.ensure_future(self.endpoint.run())
        self._links: list[Link] = []

    def link(self, credentials: secure.Credentials) -> Link:
        """A socket for secured connections, closed with this network."""
        link = Link(self.host, credentials)
        self._links.append(link)
        return link

    async def close(self) -> None:
        """Give up all sockets."""
        for link in self._links:
            await link.close()
        self.endpoint.close()
        await asyncio.gather(self._task, return_exceptions=True)
