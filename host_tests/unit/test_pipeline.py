"""The network works while the flash does: whole downloads of the install phase in simulated time, by CoAP and by HTTPS.

While the flash is busy the clock runs and nothing else does: datagrams wait in a queue of six, a connection in its window of
5,760 bytes. What is measured is the flash's own time / the time from the first chunk's erasure to the last's end.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import simtime
from coap.endpoint import Endpoint
from coap.message import Response
from coap.udp import UdpTransport
from install_rig import Rig
from lossy import End, Network, Way
from port import reserve
from recipe import SECTOR, Recipe, payload
from swupdate.install import obtain
from swupdate.install.https import HttpsSource

from firmware.coap_source import CoapSource

ERASE, PROGRAM = 0.045, 0.012
HOP = 0.01
CHUNKS = 100
APP = payload("app", CHUNKS * SECTOR - 5, 3)
QUEUE, WINDOW, SEGMENT = 6, 5760, 1440
DEVICE, SERVER = ("10.0.0.1", 5683), ("10.0.0.2", 5683)


class Device(Rig):
    """A device whose flash takes its time; its other slot is full of something else."""

    def __init__(self) -> None:
        super().__init__(Recipe([("app", APP)]), app_size=(CHUNKS + 5) * SECTOR)
        self.flash.data["app_1"][:] = payload("app", (CHUNKS + 5) * SECTOR, 9)
        self.loop = asyncio.get_running_loop()
        self.times: list[tuple[float, float]] = []
        operate = self.flash.operate

        def slow(label: str, sector: int, data: Any, at: int) -> None:
            operate(label, sector, data, at)
            took = ERASE if data is None else PROGRAM * len(data) / SECTOR
            if label == "app_1" and 0 < sector < CHUNKS:
                self.times.append((self.loop.time(), took))
            self.loop.now += took  # type: ignore[attr-defined]

        self.flash.operate = slow

    async def ratio(self, source: Any) -> float:
        """Fetch all of it through what `source()` gives."""
        self.open = lambda url: source()  # type: ignore[method-assign]
        await obtain.obtain(self, self.progress)
        assert self.holds(self.fw, APP) and len(self.times) == 2 * (CHUNKS - 1)
        return sum(took for _, took in self.times) / (self.times[-1][0] + PROGRAM - self.times[0][0])


class Queue(End):
    """The chip's end: what does not fit is lost."""

    def deliver(self, data: bytes, source: Any) -> None:
        if len(self._queue) < QUEUE:
            super().deliver(data, source)


class Numeric:
    async def resolve(self, name: str) -> str:
        return name


async def by_coap(loss: float, seed: int) -> float:
    device = Device()
    device.url = "coap://10.0.0.2/new.suit"
    network = Network(seed, Way(loss=loss, delay=HOP))

    def answer(request: Any) -> Response:
        data = device.server.files[request.path[1:]]
        number, size = request.block2 >> 4, 16 << (request.block2 & 7)
        more = (number + 1) * size < len(data)
        options = [(4, b"tag"), (23, number << 4 | more << 3 | request.block2 & 7), (28, len(data))]
        return Response(0x45, data[number * size : (number + 1) * size], options=options)

    server = Endpoint(network.end(SERVER), answer)
    task = asyncio.create_task(server.run())

    def source() -> CoapSource:
        end = network._ends[DEVICE] = Queue(network, DEVICE)
        return CoapSource(device.url, Numeric(), end)

    found = await device.ratio(source)
    server.close()
    await asyncio.gather(task, return_exceptions=True)
    return found


class Connection:
    """A TCP connection of the device to an HTTP server: no more than WINDOW bytes are on their way or not read yet."""

    def __init__(self, device: Device, loss: float, seed: int) -> None:
        self._device, self._loop = device, device.loop
        self._loss, self._dice = loss, random.Random(seed).random
        self._to_send = b""
        self._sent_until = 0.0  # when the last of it arrives
        self._room = WINDOW
        self._came = bytearray()
        self._news = asyncio.Event()

    async def write(self, data: bytes) -> None:
        head = bytes(data).decode()
        body = self._device.server.files[head.split(" ")[1][1:]]
        status = "200 OK"
        extra = ""
        if "Range: bytes=" in head:
            first, last = map(int, head.partition("Range: bytes=")[2].partition("\r\n")[0].split("-"))
            extra = f"Content-Range: bytes {first}-{last}/{len(body)}\r\n"
            body, status = body[first : last + 1], "206 Partial Content"
        answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body
        self._loop.call_later(HOP, self._more, answer)

    def _more(self, data: bytes = b"", room: int = 0) -> None:
        """At the server: more to send, or news of room."""
        self._to_send += data
        self._room += room
        while self._to_send and self._room >= min(SEGMENT, len(self._to_send)):
            part, self._to_send = self._to_send[:SEGMENT], self._to_send[SEGMENT:]
            self._room -= len(part)
            late = 4 * HOP if self._dice() < self._loss else 0  # sent again, and what comes after waits for it
            self._sent_until = max(self._sent_until + 1e-6, self._loop.time() + HOP + late)
            self._loop.call_at(self._sent_until, self._arrive, part)

    def _arrive(self, part: bytes) -> None:
        self._came += part
        self._news.set()

    def take(self, view: memoryview) -> int | None:
        count = min(len(view), len(self._came))
        view[:count] = self._came[:count]
        del self._came[:count]
        if count:
            self._loop.call_later(HOP, self._more, b"", count)
        return count or None

    async def readinto(self, view: memoryview) -> int:
        while not self._came:
            self._news.clear()
            await self._news.wait()
        return self.take(view) or 0

    async def close(self) -> None:
        pass


async def by_https(loss: float, seed: int) -> float:
    device = Device()
    device.url = "https://10.0.0.2/new.suit"

    def source() -> HttpsSource:
        made = HttpsSource(device.url, [], Numeric())
        made._stream, made._server = Connection(device, loss, seed), ("10.0.0.2", 443)  # connected already
        return made

    return await device.ratio(source)


@pytest.mark.parametrize("fetch", [by_coap, by_https])
@pytest.mark.parametrize(("loss", "least"), [(0.0, 0.99), (0.01, 0.95)])
def test_the_network_costs_next_to_nothing(fetch: Any, loss: float, least: float) -> None:
    ratios = [simtime.run(fetch(loss, seed)) for seed in range(3 if loss else 1)]
    print(fetch.__name__, loss, [round(ratio, 3) for ratio in ratios])
    assert min(ratios) >= least, ratios


async def test_blocks_may_be_larger_again_in_the_next_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datagrams are received into pieces for the blocks of one object only: the table came when memory was short."""

    def answer(request: Any) -> Response:
        asked.append(request.block2 & 7)
        number, size = request.block2 >> 4, 16 << (request.block2 & 7)
        more = (number + 1) * size < len(APP)
        options = [(4, b"tag"), (23, number << 4 | more << 3 | request.block2 & 7), (28, len(APP))]
        return Response(0x45, APP[number * size : (number + 1) * size], options=options)

    asked: list[int] = []
    transport = UdpTransport("127.0.0.1", 0)
    port = transport._sockets[0].getsockname()[1]
    server = Endpoint(transport, answer)
    task = asyncio.create_task(server.run())
    source = CoapSource(f"coap://127.0.0.1:{port}/new.suit", Numeric(), UdpTransport("127.0.0.1", 0))
    try:
        for path, short, size in (("table", True, 4), ("app", False, 6)):
            monkeypatch.setattr(reserve, "deaf", lambda short=short: short)
            asked.clear()
            data = memoryview(bytearray(5000))
            await source.start(path, 0, len(data))
            await asyncio.wait_for(source.readinto(data), 30)
            assert bytes(data) == APP[:5000] and set(asked) == {size}
    finally:
        await source.close()
        server.close()
        await asyncio.gather(task, return_exceptions=True)
