"""Two ends of lib/dtls on a network of lossy.py: one handshake after another, with data and a look at what is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from hashlib import sha256
from typing import Any

# Phases on a device; here they stay, for loading them a thousand times takes longer than the handshakes.
import crypto.chain
import crypto.ecdh
import crypto.ecdsa
import crypto.reading
import crypto.verify  # noqa: F401
import dtls.certificates
import dtls.client  # noqa: F401
from crypto import p256
from dtls.transport import DtlsTransport
from lossy import Address, Fate, Network
from simtime import Chip

SUITES = {"anon": 0xFF00, "ecdhe_psk": 0xC037, "psk": 0xC0A8, "certificates": 0xC0AE, "certificates_ccm": 0xC0AC}
BY_CERTIFICATE = (0xC0AE, 0xC0AC)
SERVER: Address = ("10.0.0.1", 5684)
CLIENT: Address = ("10.0.0.2", 40000)
_EC: list[tuple[bytes, bytes]] = []  # one identity key for all: making them is not what is tested


class Credentials:
    """Everybody knows everybody; a pre-shared key depends on both names.

    `trust` takes the key that a "certificate" begins with: chains of X.509 are another test's. These have the size of real
    ones, so that flights take several datagrams.
    """

    def __init__(self, name: str, suites: tuple[int, ...]) -> None:
        self.name = name
        self._suites = suites
        self.sessions: list[Any] = []  # open now
        if not _EC and set(suites) & set(BY_CERTIFICATE):
            _EC.append(p256.key_pair(os.urandom))

    def suites(self) -> tuple[int, ...]:
        return self._suites

    def hint(self) -> bytes:
        return self.name.encode()

    def psk(self, identity: bytes) -> tuple[bytes, str]:
        return _key(identity, self.hint()), _text(identity)

    def psk_for(self, hint: bytes, _address: Address) -> tuple[bytes, bytes, str]:
        return self.hint(), _key(self.hint(), hint), _text(hint)

    def certificate(self) -> tuple[list[bytes], bytes]:
        private, public = _EC[0]
        return [public + self.name.encode().ljust(536, b"\0"), bytes(700)], private

    async def trust(self, chain: list[bytes]) -> tuple[bytes, str]:
        return chain[0][:64], _text(chain[0][64:].rstrip(b"\0"))

    def opened(self, session: Any) -> None:
        self.sessions.append(session)

    def closed(self, session: Any) -> None:
        self.sessions.remove(session)


def _text(name: bytes) -> str:
    return name.decode(errors="replace")  # it may have changed under way


def _key(client: bytes, server: bytes) -> bytes:
    return sha256(b"of a test: " + client + b" and " + server).digest()[:16]


def label(data: bytes) -> tuple[tuple[int, ...], ...]:
    """What a datagram is, to know it when it is sent again: its records' types, and of messages number and offset."""
    found = []
    at = 0
    while at < len(data):
        content, epoch = data[at], data[at + 4]
        plain = content == 22 and not epoch
        found.append((content, epoch, data[at + 18], data[at + 21]) if plain else (content, epoch))
        at += 13 + int.from_bytes(data[at + 11 : at + 13], "big")
    return tuple(found)


class Pair:
    """A server that answers every datagram with "echo " before it, and a client. `slow`: the chips of server and client."""

    def __init__(self, suite: int, fate: Fate | None = None, slow: tuple[float, float] = (0, 0)) -> None:
        self.network = Network(fate=fate)
        self.credentials = Credentials("server", (suite,)), Credentials("client", (suite,))
        self.server = DtlsTransport(self.network.end(SERVER), self.credentials[0])
        self.client_end = self.network.end(CLIENT)
        self.client = DtlsTransport(self.client_end, self.credentials[1], False)
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._chips = [Chip(seconds) if seconds else None for seconds in slow]
        self._tasks = [self._start(0, self._echo()), self._start(1, self._listen())]

    def _start(self, which: int, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        chip = self._chips[which]
        return chip.start(coroutine) if chip else asyncio.ensure_future(coroutine)

    async def _echo(self) -> None:
        while True:
            data, session, _ = await self.server.receive()
            self.server.send(b"echo " + bytes(data), session)

    async def _listen(self) -> None:
        while True:
            data, _, _ = await self.client.receive()
            self.inbox.put_nowait(bytes(data))

    def restart_client(self) -> None:
        """The client, whose end was unplugged, is a new one at the same address."""
        self._tasks.pop().cancel()
        self.client.close()
        self.client_end = self.network.end(CLIENT)
        self.client = DtlsTransport(self.client_end, self.credentials[1], False)
        self._tasks.append(self._start(1, self._listen()))

    async def connect(self, timeout_ms: int = 70_000) -> Any:
        """The client's session: the transport's own limit of time is not to be met before that of the handshake's timers."""
        return await self._start(1, self.client.connect(SERVER, timeout_ms))

    async def ready(self) -> None:
        """Until both have made the key that they make ahead, on slow chips too."""
        await asyncio.sleep(5 if any(self._chips) else 0.2)

    def same_keys(self, session: Any) -> None:
        """Both ends have this session and no other, with the same keys and each other's names."""
        assert list(self.client.sessions.values()) == self.credentials[1].sessions == [session] and session.open
        (far,) = self.server.sessions.values()
        assert self.credentials[0].sessions == [far] and far.open and far.address == CLIENT
        assert (far.suite, far.randoms, far.master) == (session.suite, session.randoms, session.master)
        assert len(far.master) == 48
        names = (None, None) if far.suite == 0xFF00 else ("client", "server")
        assert (far.uuid, session.uuid) == names

    async def talk(self, session: Any) -> None:
        """Data there and back, and unasked from the server."""
        for text in (b"one", b"two", bytes(900)):
            self.client.send(text, session)
            assert await asyncio.wait_for(self.inbox.get(), 1) == b"echo " + text
        (far,) = self.server.sessions.values()
        self.server.send(b"unasked", far)
        assert await asyncio.wait_for(self.inbox.get(), 1) == b"unasked"
        assert self.inbox.empty()

    def at_rest(self) -> None:
        """No task but the two that receive, the one of each transport that it always has, and the test's."""
        assert len(asyncio.all_tasks()) == 5, asyncio.all_tasks()

    async def close(self) -> None:
        """Both ends are closed: nothing is left."""
        self.client.close()
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert not self.client.sessions and not self.server.sessions
        assert not self.credentials[0].sessions and not self.credentials[1].sessions
        assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
