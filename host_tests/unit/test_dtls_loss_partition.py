"""A download by `firmware.coap_source` over DTLS, in whose middle the network is cut for minutes, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import simtime
from coap.endpoint import Endpoint
from coap.message import Response
from dtls.transport import DtlsTransport
from dtls_peers import CLIENT, SERVER, Credentials
from lossy import Network, Way
from swupdate.faults import Fault

from firmware.coap_source import CoapSource

URL = "coaps://10.0.0.1:5684/firmware"
SIZE = 200_000
SECTOR = 4096
FLASH = 0.05  # seconds that a sector takes to be erased and written
WAIT = 15.0  # seconds that the Source waits for a block, or a handshake
BOUND = WAIT + 8 + 1  # the last request for a block may have been sent just before, and waits as long as any does
FILE = bytes((i * 7 ^ i >> 8) & 0xFF for i in range(SIZE))


class Resolver:
    async def resolve(self, name: str) -> str:
        return name


class Server:
    """Serves FILE, in blocks as asked for."""

    def __init__(self, network: Network) -> None:
        self.etag = b"one"
        self.asked = 0
        self.transport = DtlsTransport(network.end(SERVER), Credentials("server", (0xC0A8,)))
        self.endpoint = Endpoint(self.transport, self.handle)
        self.task = asyncio.ensure_future(self.endpoint.run())

    def handle(self, request: Any) -> Response:
        self.asked += 1
        number, size = request.block2 >> 4, 16 << (request.block2 & 7)
        start = number * size
        more = start + size < SIZE
        options = [(4, self.etag), (23, number << 4 | more << 3 | request.block2 & 7), (28, SIZE)]
        return Response(0x45, FILE[start : start + size], options=options)


class Rig:
    """A server, and a device that fetches FILE sector by sector."""

    def __init__(self) -> None:
        self.network = Network(3, Way(delay=0.02, jitter=0.02))
        self.server = Server(self.network)
        self.got = bytearray()
        self.etag: Any = None
        self.sources = 0

    def source(self) -> CoapSource:
        """As the install phase has one for each attempt, with a socket of its own."""
        self.sources += 1
        address = CLIENT[0], CLIENT[1] + self.sources
        return CoapSource(
            URL, Resolver(), DtlsTransport(self.network.end(address), Credentials("device", (0xC0A8,)), False)
        )

    async def fetch(self, source: CoapSource, until: int = SIZE) -> None:
        """Go on where it stopped, up to `until` bytes."""
        self.etag = await source.start(URL, len(self.got), SIZE - len(self.got), self.etag)
        while len(self.got) < until:
            sector = bytearray(min(SECTOR, SIZE - len(self.got)))
            await source.readinto(memoryview(sector))
            self.got += sector
            await asyncio.sleep(FLASH)

    def cut(self, seconds: float) -> None:
        """The line is down from now on."""
        self.network.cut.add(SERVER)
        asyncio.get_running_loop().call_later(seconds, self.network.cut.clear)

    async def lost(self, source: CoapSource, text: str = "lost|failed") -> None:
        """The download fails as documented, in time."""
        began = asyncio.get_running_loop().time()
        with pytest.raises(Fault, match=text) as caught:
            await self.fetch(source)
        assert caught.value.cause == "lost"
        assert asyncio.get_running_loop().time() - began < BOUND + FLASH
        assert self.got == FILE[: len(self.got)]


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    one = Rig()
    await asyncio.sleep(1)
    tasks = len(asyncio.all_tasks())
    yield one
    assert one.got == FILE
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == tasks, asyncio.all_tasks()
    one.server.endpoint.close()
    await asyncio.gather(one.server.task, return_exceptions=True)
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()


@pytest.mark.parametrize("seconds", [1, 4, 7])
@pytest.mark.parametrize("at", [0, 70_000])
def test_a_short_cut_is_only_a_delay(at: int, seconds: float) -> None:
    async def main() -> None:
        async with rig() as one:
            source = one.source()
            began = asyncio.get_running_loop().time()
            asyncio.get_running_loop().call_later(0.3 + at / 100_000, one.cut, seconds)
            await one.fetch(source)
            assert asyncio.get_running_loop().time() - began < 50 * (FLASH + 0.1) + 2 * seconds + 8
            assert one.server.asked < 230 and len(one.server.transport.sessions) == 1
            await source.close()

    simtime.run(main())


@pytest.mark.parametrize("minutes", [1, 5, 9])
def test_minutes_end_it_and_the_same_session_goes_on(minutes: float) -> None:
    async def main() -> None:
        async with rig() as one:
            source = one.source()
            began = asyncio.get_running_loop().time()
            asyncio.get_running_loop().call_later(1, one.cut, 60 * minutes)
            await one.lost(source)
            assert SIZE // 8 < len(one.got) < SIZE
            await one.lost(source)  # whoever tries again meanwhile fails as well
            await asyncio.sleep(began + 60 * minutes + 2 - asyncio.get_running_loop().time())
            await one.fetch(source)
            assert len(one.server.transport.sessions) == 1
            await source.close()

    simtime.run(main())


@pytest.mark.parametrize("gone", [False, True], ids=["silent", "restarted"])
def test_a_session_that_the_server_gave_up_needs_another_attempt(gone: bool) -> None:
    async def main() -> None:
        async with rig() as one:
            first = one.source()
            one_hour = 3600.0
            asyncio.get_running_loop().call_later(1, one.cut, 60.0 if gone else one_hour)
            await one.lost(first)
            if gone:
                old = one.server
                one.server = Server(one.network)  # the server's power fails: it knows nobody
                old.endpoint.close()
                await asyncio.gather(old.task, return_exceptions=True)
            second = one.source()
            await one.lost(
                second, "no secured connection with the server: no answer"
            )  # nobody is there to shake hands with
            await second.close()
            await asyncio.sleep(120 if gone else one_hour)
            assert not one.server.transport.sessions
            await one.lost(first)
            await first.close()
            third = one.source()
            await one.fetch(third)
            await third.close()

    simtime.run(main())


def test_another_file_after_the_cut_is_noticed() -> None:
    async def main() -> None:
        async with rig() as one:
            source = one.source()
            asyncio.get_running_loop().call_later(1, one.cut, 120)
            await one.lost(source)
            await asyncio.sleep(120)
            one.server.etag = b"two"
            await one.lost(source, "changed")
            one.server.etag = b"one"
            await one.fetch(source)
            await source.close()

    simtime.run(main())


@pytest.mark.parametrize("direction", ["requests", "answers"])
def test_one_direction_is_cut(direction: str) -> None:
    async def main() -> None:
        async with rig() as one:
            source = one.source()
            deaf = Way(loss=1)
            address = SERVER if direction == "requests" else (CLIENT[0], CLIENT[1] + 1)
            asyncio.get_running_loop().call_later(1, one.network.ways.update, {address: deaf})
            await one.lost(source)
            one.network.ways.clear()
            await one.fetch(source)
            await source.close()

    simtime.run(main())
