"""`swupdate.install.pace`: when a server is too slow, by a clock of its own; and CoAP servers that are, or never end."""

import asyncio

from check import raises
from coap.endpoint import Endpoint
from coap.message import Response
from coap.udp import UdpTransport
from port import sleep_ms, urandom, wait_for
from swupdate.faults import Fault
from swupdate.install import pace
from test_download import Network, Server, body

from firmware.coap_source import CoapSource


class Limits:
    min_bps, lag_s, read_s = 200, 60, 15


class Paced:
    """A Pace whose clock is ours."""

    def __init__(self, limits=Limits):
        self.now = 1000
        self.pace = pace.Pace(limits)

    def __enter__(self):
        self.kept, pace.ticks_ms = pace.ticks_ms, lambda: self.now
        self.pace.begin()
        return self

    def __exit__(self, *_exc):
        pace.ticks_ms = self.kept

    def got(self, seconds, count):
        self.now += seconds * 1000
        self.pace.got(count)


def test_a_byte_every_ten_seconds():
    with Paced() as paced:
        for _ in range(6):
            paced.got(10, 1)
        with raises(Fault, "too slow: it sends less than 200 bytes a second") as caught:
            paced.got(10, 1)
        assert caught.value.result() == 4


def test_just_fast_enough_for_ever():
    with Paced() as paced:
        for _ in range(1000):
            paced.got(20, 4000)


def test_a_little_too_slow():
    with Paced() as paced, raises(Fault):
        for _ in range(1000):
            paced.got(20, 3600)


def test_honest_links_with_holes():
    """A pause that is shorter than what is borne, now and then, on a link that is otherwise good."""
    with Paced() as paced:
        for _ in range(100):
            paced.got(50, 1000)
            paced.got(1, 10_000)


def test_speed_is_not_saved_up():
    with Paced() as paced:
        paced.got(1, 1_000_000)
        with raises(Fault):
            for _ in range(7):
                paced.got(10, 1)


def test_only_waiting_counts():
    with Paced() as paced:
        for _ in range(100):
            paced.now += 3600_000  # the flash, the loop, the time between two ranges
            paced.pace.begin()
            paced.got(1, 4096)


# CoAP


class Resolver:
    async def resolve(self, name):
        return name


class Joined:
    """A CoapSource and a server in one loop. The server's address is the other end's."""

    def __init__(self, handle, limits, fate=lambda number, data: 0):
        self.network = Network(fate)
        self.server = Endpoint(self.network.ends[1], handle)
        self.source = CoapSource("coap://127.0.0.1/a/b", Resolver(), self.network.ends[0], limits)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.server.run())
        await sleep_ms(0)
        self.source._url, self.source._download = None, None
        source = self.source
        plain = source._open

        async def opened(url):
            download = await plain(url)
            download._peer = 1  # as the network of the tests calls it
            return download

        source._open = opened
        return source

    async def __aexit__(self, *_exc):
        await self.source.close()
        self.server.close()
        try:
            await self.task
        except asyncio.CancelledError:
            pass


class Quick:
    min_bps, lag_s, read_s = 4000, 0.3, 2


class Patient(Quick):
    """Bears that the machine has something else to do."""

    lag_s, read_s = 1, 20


def slowly(handle, ms):
    """Each answer takes so long."""

    async def later(request):
        await sleep_ms(ms)
        return handle(request)

    return lambda request: later(request)


async def test_slow_blocks():
    """Every one comes in its time, and all of them together take too long."""
    server = Server(body(40_000), szx=1)  # 32 bytes
    async with Joined(slowly(server.handle, 60), Quick) as source:
        with raises(Fault, "too slow"):
            await source.start("/a/b", 0, 40_000)
            await source.readinto(memoryview(bytearray(4096)))
    async with Joined(slowly(server.handle, 60), Quick) as source:
        with raises(Fault, "too slow"):
            await source.get("/a/b", 50_000)
    server = Server(body(40_000))
    async with Joined(slowly(server.handle, 60), Patient) as source:  # 17 KB a second at least
        await source.start("/a/b", 0, 40_000)
        data = bytearray(4096)
        for at in range(0, 36_864, 4096):
            await source.readinto(memoryview(data))
            assert data == server.body[at : at + 4096]


async def test_blocks_for_ever():
    """`more` is always set, the size grows with each answer: no more is asked for than was signed, or is allowed."""
    asked = []
    sizes = []

    def handle(request):
        number = request.block2 >> 4
        asked.append(number)
        options = [(23, number << 4 | 14), (4, b"one")]
        if sizes:
            options.append((28, sizes[0] + (number << 12)))
        return Response(0x45, bytes(1024), options=options)

    async with Joined(handle, Limits) as source:
        with raises(Fault, "more than the 4096 bytes") as caught:
            await source.get("/a/b", 4096)
        assert caught.value.result() == 5 and max(asked) < 12
        sizes.append(3000)
        source._forget()
        await sleep_ms(20)  # what was outstanding is answered
        del asked[:]
        assert len(await source.get("/a/b", 4096)) == 3072 and max(asked) == 2  # what it is, the signature will say
        del asked[:]
        sizes[0] = 8000  # enough for what is asked for, by the first answer
        await source.start("/a/b", 1024, 10_240)
        await source.readinto(memoryview(bytearray(10_240)))
        await sleep_ms(20)
        assert sorted(asked) == list(range(1, 11))


async def test_sizes_that_are_lies():
    for size, words in ((10, "has a file of 10 bytes only"), (1 << 31, None), (5000, "has a file of 5000 bytes only")):
        server = Server(body(20_000))

        def handle(request, server=server, size=size):
            response = server.handle(request)
            response.options = [(n, size if n == 28 else value) for n, value in response.options]
            return response

        async with Joined(handle, Limits) as source:
            data = bytearray(4096)
            if words:
                with raises(Fault, words) as caught:
                    await source.start("/a/b", 0, 20_000)
                assert caught.value.result() == 4
            else:
                await source.start("/a/b", 0, 20_000)
                await source.readinto(memoryview(data))
                assert data == server.body[:4096]


async def test_a_file_that_ends_too_early():
    """The server says so in its last block, or only then."""
    server = Server(body(9_000))

    def handle(request):
        response = server.handle(request)
        response.options = [option for option in response.options if option[0] != 28]
        return response

    async with Joined(handle, Quick) as source:
        await source.start("/a/b", 0, 20_000)
        await source.readinto(memoryview(bytearray(8192)))
        with raises(Fault) as caught:
            await source.readinto(memoryview(bytearray(4096)))
        assert caught.value.result() in (4, 400)


async def test_larger_blocks_after_smaller_ones():
    """Datagrams are received into no larger pieces than the blocks of an object need: the next one's may be larger."""
    small, large = Server(body(1_000), szx=4), Server(body(5_000))
    port = 20000 + int.from_bytes(urandom(2), "big") // 6  # others test here at the same time
    transport = UdpTransport("127.0.0.1", port)
    server = Endpoint(transport, lambda request: (large if request.query else small).handle(request))
    task = asyncio.create_task(server.run())
    source = CoapSource("coap://127.0.0.1:%d/a/b" % port, Resolver(), UdpTransport("127.0.0.1", 0), Limits)
    try:
        data = memoryview(bytearray(5_000))
        await source.start("/a/b", 0, 1_000)
        await source.readinto(data[:1_000])
        assert bytes(data[:1_000]) == small.body
        await wait_for(source.start("/a/b?large", 0, 5_000), 5)
        await source.readinto(data)
        assert bytes(data) == large.body
    finally:
        await source.close()
        server.close()
        try:
            await task
        except asyncio.CancelledError:
            pass
