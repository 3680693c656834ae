"""`coap.download` against a server in the same loop, over a network in memory that delays, loses and reorders."""

import asyncio

from check import raises
from coap import seldom
from coap.client import Timeout, TransferError
from coap.download import Download
from coap.endpoint import Endpoint
from coap.message import Refused, Response, parse
from coap.seldom import Failed
from port import sleep_ms, ticks_add, ticks_diff, ticks_ms, wait_for


class Network:
    """Two ends; `fate(number, data)` says after how many ms a datagram arrives, a list of such for duplicates, None
    never."""

    def __init__(self, fate):
        self.fate = fate
        self.sent = 0
        self.ends = (End(self, 0), End(self, 1))

    def put(self, data, to):
        self.sent += 1
        fate = self.fate(self.sent, data)
        for delay in fate if isinstance(fate, list) else [fate]:
            if delay is not None:
                self.ends[to].queue.append((ticks_add(ticks_ms(), delay), bytes(data)))
                self.ends[to].ready.set()


class End:
    secure = False

    def __init__(self, network, me):
        self.network = network
        self.me = me
        self.queue = []
        self.ready = asyncio.Event()

    async def receive(self):
        while True:
            for item in self.queue:
                if ticks_diff(item[0], ticks_ms()) <= 0:
                    self.queue.remove(item)
                    return memoryview(item[1]), 1 - self.me, False
            if self.queue:
                await sleep_ms(1)
            else:
                self.ready.clear()
                await self.ready.wait()

    def send(self, data, peer):
        self.network.put(data, peer)

    def identity(self, _peer):
        return None

    def close(self):
        self.queue.clear()


class Server:
    """Serves `body` in blocks of at most 16 << szx, and keeps a record of what was asked."""

    def __init__(self, body, szx=6, etag=b"one"):
        self.body = body
        self.szx = szx
        self.etag = etag
        self.asked = []
        self.waiting = self.most = 0

    def handle(self, request):
        option = request.block2
        start = (option >> 4) << (option & 7) + 4
        szx = min(option & 7, self.szx)
        size = 16 << szx
        self.asked.append(start)
        if request.path != "/a/b":
            raise Refused(0x84, "no such file")
        if start >= max(len(self.body), 1):
            raise Refused(0x80, "past the end")
        more = start + size < len(self.body)
        options = [(23, start // size << 4 | more << 3 | szx)]
        if self.etag:
            options.append((4, self.etag))
        if request.size2 is not None:
            options.append((28, len(self.body)))
        return Response(0x45, self.body[start : start + size], options=options)


def body(count):
    return bytes(((i * 7) ^ (i >> 8)) & 0xFF for i in range(count))


class Rig:
    def __init__(self, server, fate=lambda number, data: 0, path="/a/b", **settings):
        self.network = Network(fate)
        self.server = Endpoint(self.network.ends[1], server.handle)
        self.client = Endpoint(self.network.ends[0])
        self.download = Download(self.client, 1, path, **settings)

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(e.run()) for e in (self.server, self.client)]
        return self.download

    async def __aexit__(self, *_exc):
        self.download.close()
        assert not self.client.tokens, "a request was left behind"
        for endpoint in (self.server, self.client):
            endpoint.close()
        for task in self.tasks:
            try:
                await task
            except asyncio.CancelledError:
                pass


async def take(download, length, step=1000):
    data = bytearray(length)
    view = memoryview(data)
    for at in range(0, length, step):
        await download.readinto(view[at : at + step])
    return bytes(data)


async def test_whole_object():
    server = Server(body(20_000))
    async with Rig(server) as download:
        assert await download.start() == b"one"
        assert download.size == 20_000
        assert await take(download, 20_000) == server.body
        with raises(TransferError, "ends at byte 20000"):
            await download.readinto(memoryview(bytearray(1)))
    assert len(server.asked) == 20


async def test_exact_multiple_of_the_block_and_tiny_objects():
    for size in (1, 16, 1023, 1024, 1025, 6144, 6145):
        server = Server(body(size))
        async with Rig(server) as download:
            await download.start()
            assert await take(download, size, 700) == server.body


async def test_empty_object():
    server = Server(b"")
    async with Rig(server) as download:
        await download.start()
        assert download.size == 0
        with raises(TransferError, "ends at byte 0"):
            await download.readinto(memoryview(bytearray(1)))


async def test_range_asks_for_no_block_outside():
    server = Server(body(50_000))
    async with Rig(server) as download:
        await download.start(10_000, 9_000)
        assert await take(download, 9_000, 4096) == server.body[10_000:19_000]
        assert min(server.asked) == 9 * 1024 and max(server.asked) == 18 * 1024
        await download.start(0, 16)  # and again from elsewhere, on the same object
        assert await take(download, 16) == server.body[:16]


async def test_smaller_blocks_of_the_server():
    server = Server(body(5_000), szx=2)
    async with Rig(server) as download:
        await download.start(1_500, 3_000)
        assert await take(download, 3_000) == server.body[1_500:4_500]


async def test_server_turns_to_smaller_blocks_under_way():
    server = Server(body(30_000))
    async with Rig(server) as download:
        await download.start()
        got = await take(download, 10_000)
        server.szx = 4
        assert got + await take(download, 20_000) == server.body


async def test_window_is_kept_full_and_never_exceeded():
    server = Server(body(60_000))
    under_way = [0, 0]

    def fate(_number, data):
        under_way[0] += 1 if data[1] == 1 else -1
        under_way[1] = max(under_way)
        return 40

    async with Rig(server, fate) as download:
        began = ticks_ms()
        await download.start()
        assert await take(download, 60_000) == server.body
        assert under_way[1] == 6
        # 59 round trips of 80 ms, six at a time: 0.8 s, and the time of a busy machine.
        assert ticks_diff(ticks_ms(), began) < 59 * 80 * 2 // 3


def lossy(percent, spread, seed=1):
    state = [seed]

    def number(limit):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] >> 16) % limit

    def fate(_number, _data):
        if number(100) < percent:
            return None
        return [number(spread), number(spread)] if number(100) < percent else number(spread)

    return fate


async def test_loss_duplicates_and_reordering():
    for seed in (1, 2):
        server = Server(body(40_000))
        async with Rig(server, lossy(5, 12, seed)) as download:
            await download.start(3_000)
            assert await take(download, 37_000, 4096) == server.body[3_000:]


async def test_loss_shrinks_the_window_and_answers_widen_it_again():
    server = Server(body(40_000))
    seen = []

    def fate(number, _data):
        if number > 20:
            seen.append(rig.download.window)
        return None if 20 < number < 40 else 1

    rig = Rig(server, fate)
    async with rig as download:
        await download.start()
        assert await take(download, 40_000) == server.body
        assert seen[0] == 6 and min(seen) < 3 and download.window > min(seen)


async def test_a_block_that_was_overtaken_is_asked_for_again_at_once():
    """A single loss costs no pause, and a third of what is outstanding rather than half of it."""
    server = Server(body(40_000))
    seen, lost = [], []

    def fate(_number, data):
        seen.append(rig.download.window)
        if data[1] == 0x45 and len(server.asked) == 20 and not lost:
            lost.append(server.asked[-1])
            return None
        return 10

    rig = Rig(server, fate)
    rig.download.patience = lambda tries: 30_000  # later than what follows allows
    async with rig as download:
        began = ticks_ms()
        await download.start()
        assert await take(download, 40_000) == server.body
        assert ticks_diff(ticks_ms(), began) < 15_000
        assert server.asked.count(lost[0]) == 2 and len(server.asked) == 41
        assert min(seen[20:]) == 4


async def test_an_answer_counts_even_if_there_is_no_memory_to_ask_again_for_what_it_overtook():
    server = Server(body(40_000))
    lost, failed = [], []

    def fate(_number, data):
        if data[1] == 0x45 and len(server.asked) == 36 and not lost:
            lost.append(server.asked[-1])
            return None
        if data[1] == 1 and lost and not failed and parse(data).block2 >> 4 << 10 == lost[0]:
            failed.append(len(server.asked))
            raise MemoryError  # as a session's `seal` does
        return 10

    rig = Rig(server, fate)
    rig.client.ack_timeout = 100
    async with rig as download:
        await download.start()
        assert await wait_for(take(download, 40_000), 10) == server.body
        assert failed and len(server.asked) == 41


async def test_who_reads_hears_that_there_was_no_memory_to_ask():
    for which in range(3, 9):
        server = Server(body(10_000))
        rig = Rig(server, lambda number, data: None if number == 7 else 0)
        asked = []

        def patience(tries, asked=asked, which=which):
            asked.append(tries)
            if len(asked) == which:
                raise MemoryError
            return 50

        rig.download.patience = patience
        async with rig as download:
            with raises(MemoryError):
                await download.start()
                await wait_for(take(download, 10_000), 5)
            assert len(asked) >= which


async def test_a_request_that_could_not_be_sent_at_once_is_none_that_is_left_behind():
    for which in range(1, 11):
        server = Server(body(10_000))
        tried = []

        def fate(_number, data, tried=tried, which=which):
            if data[1] == 1 and data[0] >> 4 == 4:
                tried.append(data)
                if len(tried) == which:
                    raise MemoryError
            return 5

        rig = Rig(server, fate)
        rig.client.ack_timeout = 50
        async with rig as download:
            try:
                await download.start()
                assert await wait_for(take(download, 10_000), 5) == server.body
            except MemoryError:
                pass
            assert len(tried) >= which


async def test_object_changes_under_way():
    server = Server(body(30_000))
    async with Rig(server) as download:
        await download.start()
        await take(download, 10_000)
        server.etag = b"two"
        with raises(TransferError, "changed"):
            await take(download, 20_000)
        with raises(TransferError, "changed"):
            await download.start(0, 100, b"one")
        server.etag = None
        with raises(TransferError, "changed"):
            await download.start(0, 100, b"one")
        assert await download.start(0, 100) is None


async def test_the_size_of_an_earlier_object_is_not_that_of_a_new_one():
    server = Server(body(3_000))
    async with Rig(server) as download:
        await download.start(0, 3_000)
        assert await take(download, 3_000) == server.body
        server.body, server.etag = body(9_000), b"two"
        assert await download.start(0, 9_000) == b"two"
        assert download.size == 9_000 and await take(download, 9_000) == server.body
        server.etag = None
        await download.start()
        server.body = body(2_000)
        await download.start()
        assert download.size == 2_000 and await take(download, 2_000) == server.body


async def test_a_request_that_there_is_no_memory_to_note_leaves_nothing():
    class Full(dict):
        """Has no room for one more entry after so many."""

        left = 0

        def __setitem__(self, key, value):
            self.left -= 1
            if self.left < 0:
                raise MemoryError
            super().__setitem__(key, value)

    for name in ("tokens", "_sent"):
        for left in range(4):
            server = Server(body(10_000))
            rig = Rig(server)
            full = Full()
            full.left = left
            setattr(rig.client, name, full)
            async with rig as download:
                with raises(MemoryError):
                    await download.start()
                    await wait_for(take(download, 10_000), 5)
                await sleep_ms(10)  # what was sent before is answered
                download.close()
                assert not rig.client._sent and not rig.client.tokens, (name, left)


async def test_error_answer_carries_its_code():
    async with Rig(Server(b""), path="/other") as download:
        with raises(Failed, "4.04 no such file") as caught:
            await download.start()
        assert caught.value.code == 0x84


async def test_past_the_end():
    server = Server(body(3_000))
    async with Rig(server) as download:
        with raises(Failed, "4.00"):
            await download.start(5_000, 10)
        await download.start(2_000, 5_000)
        assert await take(download, 1_000) == server.body[2_000:]
        with raises(OSError):
            await take(download, 1)


async def test_silent_server():
    async with Rig(Server(body(9_000)), lambda number, data: None, timeout_ms=100) as download:
        began = ticks_ms()
        with raises(Timeout):
            await download.start()
        assert ticks_diff(ticks_ms(), began) < 4_000


async def test_server_dies_under_way():
    server = Server(body(30_000))
    async with Rig(server, lambda number, data: 0 if number < 21 else None, timeout_ms=500) as download:
        await download.start()
        assert await take(download, 6_144) == server.body[:6_144]
        with raises(Timeout):
            await take(download, 20_000)


async def test_answers_that_are_not_the_block_asked_for():
    for options, payload in (
        ([(23, 5 << 4 | 14)], b"x" * 1024),  # another number
        ([(23, 14)], b"x" * 1023),  # more to come, but not a whole block
        ([(23, 15)], b"x" * 1024),  # reserved size
        ([(23, 0 << 4 | 2)], b"x" * 1024),  # longer than the size it names, though smaller than asked: asked for anew
    ):
        server = Server(body(9_000))
        server.handle = lambda request, o=options, p=payload: Response(0x45, p, options=list(o))
        async with Rig(server) as download:
            with raises(TransferError):
                await download.start()


async def test_blocks_become_smaller_where_there_is_no_memory_for_what_comes():
    """As if a datagram of more than 700 bytes found no piece of memory from the 20th on, and whoever looks sees that."""
    server = Server(body(40_000))
    room = seldom.room
    looked = []

    def small(szx, slots):
        looked.append(szx)
        return (6, slots) if len(looked) < 3 else (5, 2)

    seldom.room = small
    try:
        async with Rig(server, lambda number, data: None if number > 40 and len(data) > 700 else 1) as download:
            await download.start()
            assert await wait_for(take(download, 40_000, 4096), 10) == server.body
    finally:
        seldom.room = room
    assert looked == [6, 6, 6], looked


async def test_small_answer_without_blocks():
    server = Server(b"")
    server.handle = lambda request: Response(0x45, b"small")
    async with Rig(server) as download:
        await download.start()
        assert await take(download, 5) == b"small"
