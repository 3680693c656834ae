"""The message layer and requests: RFC 7252 sections 4, 5 and 8."""

import asyncio
import sys

from check import raises
from coap import endpoint
from coap.endpoint import Endpoint
from coap.exchange import Exchange
from coap.message import Refused, Response
from coap.udp import UdpTransport
from coap_rig import ACK, CON, NON, RST, Recorder, datagram
from dtls.transport import DtlsTransport
from port import sleep_ms, ticks_diff, ticks_ms


class Server:
    """An endpoint on a Recorder, with a handler that counts."""

    def __init__(self, **settings):
        self.calls = []
        self.wire = Recorder()
        self.endpoint = Endpoint(self.wire, self.handle, **settings)
        self.gate = asyncio.Event()

    def handle(self, request):
        self.calls.append(request)
        what = request.path
        if what == "/refuse":
            raise Refused(0x84, "nothing here")
        if what == "/crash":
            raise KeyError("oops")
        if what == "/memory":
            raise MemoryError
        if what == "/silent":
            return None
        if what == "/slow" or what == "/slowcrash":
            return self.slow(what)
        if what == "/garbage":
            return Response(0x45, b"", options=[(65000, bytes(2000))])
        return Response(0x45, b"\xa0", 10000)

    def fail(self, *_what):
        raise MemoryError

    async def slow(self, what):
        await self.gate.wait()
        if what == "/slowcrash":
            raise ValueError("late")
        return Response(0x45, b"late")

    def get(self, path="", kind=CON, mid=1, token=b"t", code=1, options=(), payload=b"", multicast=False, peer="p"):
        options = [(11, part) for part in path.split("/") if part] + list(options)
        self.endpoint.receive(datagram(kind, code, mid, token, options, payload), peer, multicast)


class Unreadable:
    """What there is no memory to copy."""

    def __bytes__(self):
        raise MemoryError

    def __iter__(self):
        raise MemoryError


class Grouped(Recorder):
    """A transport with two multicast groups, where a test lets datagrams arrive: (socket, datagram)."""

    groups = 2

    def __init__(self):
        super().__init__()
        self.queues = [[], [], []]
        self.closed = 0

    async def receive(self, group=0):
        while not self.queues[group]:
            await sleep_ms(1)
        return memoryview(self.queues[group].pop(0)), "p", group > 0

    def close(self):
        self.closed += 1


async def test_tasks_of_groups_take_no_place_of_requests_and_end_with_the_endpoint():
    server = Server(leisure=0)
    wire = server.endpoint.transport = server.wire = Grouped()
    task = asyncio.create_task(server.endpoint.run())
    await sleep_ms(5)
    for mid in range(8):
        server.get("/slow", mid=mid)
    assert not wire.sent, "all eight have a task"
    server.get("/slow", mid=8)
    assert wire.take().code == 0xA3
    for group in (1, 2):
        wire.queues[group].append(datagram(NON, 1, 20 + group, b"%d" % group, [(11, "x")]))
    for _ in range(200):
        if len(wire.sent) == 2:
            break
        await sleep_ms(5)
    assert len(wire.sent) == 2 and not wire.closed
    server.endpoint.close()
    await task
    await sleep_ms(5)
    assert wire.closed


async def test_an_endpoint_without_memory_is_closed_all_the_same():
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        heap_lock = heap_unlock = int
    server = Server()
    udp = UdpTransport("127.0.0.1", 0)
    closed = []

    class Secured(DtlsTransport):
        def drop_all(self):
            closed.append(1)
            raise MemoryError

    wire = Secured(udp, None)
    endpoint = server.endpoint
    endpoint.transport = wire
    task = asyncio.create_task(endpoint.run())
    await sleep_ms(5)
    endpoint._sent[1] = endpoint  # so that there is something to look at
    endpoint.done = None
    heap_lock()
    try:
        endpoint.close()
    except MemoryError:
        pass
    heap_unlock()
    with raises(MemoryError):
        await task
    await sleep_ms(5)
    assert closed and not udp._sockets and not endpoint._tasks
    if sys.implementation.name != "micropython":
        assert len(asyncio.all_tasks()) == 1


async def test_a_group_that_is_heard_no_more_ends_the_endpoint():
    """Whoever runs it sees to the rest: on the device that is a restart."""
    server = Server()
    wire = server.endpoint.transport = Grouped()
    task = asyncio.create_task(server.endpoint.run())
    await sleep_ms(5)
    real = endpoint.print_exception
    endpoint.print_exception = server.fail
    try:
        wire.queues[2].append(None)  # no datagram: an error, and then not even memory to say so
        for _ in range(100):
            if task.done():
                break
            await sleep_ms(5)
    finally:
        endpoint.print_exception = real
    await sleep_ms(5)
    assert task.done() and wire.closed
    server.endpoint.close()


def test_piggy_backed_answer_with_the_options_of_ocf():
    server = Server()
    server.get("/a/b", mid=77, token=b"abcdefgh", options=[(17, 10000), (2049, 2048), (15, "if=oic.if.r")])
    reply = server.wire.take()
    assert (reply.type, reply.code, reply.mid, reply.token) == (ACK, 0x45, 77, b"abcdefgh")
    assert reply.content_format == 10000 and reply.ocf_version == 2048 and reply.payload == b"\xa0"
    request = server.calls[0]
    assert request.path == "/a/b" and request.query == ["if=oic.if.r"] and request.peer == "p"
    assert request.endpoint is server.endpoint and request.ocf_version == 2048 and not request.secure
    assert server.endpoint.requests == 1
    server.get("/a/b")  # a client that is not OCF's could not understand the critical option
    assert server.wire.take().ocf_version is None


def test_non_is_answered_non():
    server = Server()
    server.get("/x", NON)
    reply = server.wire.take()
    assert reply.type == NON and reply.token == b"t" and reply.mid != 1


def test_ping_gives_reset():
    server = Server()
    server.endpoint.receive(datagram(CON, 0, 9), "p")
    reply = server.wire.take()
    assert reply.raw == b"\x70\x00\x00\x09"
    for kind in (NON, ACK, RST):
        server.endpoint.receive(datagram(kind, 0, 9), "p")
    assert not server.wire.sent


def test_format_error_gives_reset_only_to_con():
    server = Server()
    server.endpoint.receive(b"\x40\x01\x12\x34\xff", "p")
    assert server.wire.take().raw == b"\x70\x00\x12\x34"
    for first in (0x50, 0x60, 0x70, 0x00):
        server.endpoint.receive(bytes((first, 1, 1, 1, 0xFF)), "p")
    server.endpoint.receive(b"\x40\x01\x12\x34\xff", "p", True)
    server.endpoint.receive(b"\x40", "p")
    assert not server.wire.sent and not server.calls


def test_reserved_codes_and_stray_answers():
    server = Server()
    for code in (0x20, 0x3F, 0x60, 0xC0, 0xE1):
        server.endpoint.receive(datagram(CON, code, 5), "p")
        assert server.wire.take().type == RST
        server.endpoint.receive(datagram(NON, code, 5), "p")
        assert not server.wire.sent
    for kind in (CON, NON):  # an answer nobody waits for
        server.endpoint.receive(datagram(kind, 0x45, 5, b"zz"), "p")
        assert server.wire.take().type == RST
    server.endpoint.receive(datagram(ACK, 0x45, 5, b"zz"), "p")
    server.endpoint.receive(datagram(ACK, 1, 5, b"zz"), "p")
    server.endpoint.receive(datagram(NON, 0x45, 5, b"zz"), "p", True)
    assert not server.wire.sent and not server.calls


def test_unknown_critical_option():
    server = Server()
    server.get("/x", options=[(9, b"1")])
    reply = server.wire.take()
    assert reply.code == 0x82 and b"option 9" in reply.payload and reply.content_format is None
    server.get("/x", NON, options=[(9, b"1")])
    assert server.wire.take().type == RST
    server.get("/x", options=[(35, b"coap://y")])
    assert server.wire.take().code == 0xA5
    assert not server.calls
    server.get("/x", options=[(65000, b"elective")])
    assert server.wire.take().code == 0x45


def test_exceptions_of_a_handler():
    server = Server()
    server.get("/refuse")
    reply = server.wire.take()
    assert reply.code == 0x84 and reply.payload == b"nothing here" and reply.content_format is None
    for path, code in (("/crash", 0xA0), ("/memory", 0xA3), ("/garbage", 0xA0)):
        server.get(path)
        assert server.wire.take().code == code
    server.get("/silent")
    assert not server.wire.sent
    server.get("/x")
    assert server.wire.take().code == 0x45


def test_a_duplicate_is_not_processed_again():
    server = Server()
    for kind in (CON, NON):
        for code in (2, 3, 4):
            server.calls.clear()
            server.get("/x", kind, mid=kind * 8 + code, code=code, payload=b"1")
            first = server.wire.take()
            server.get("/x", kind, mid=kind * 8 + code, code=code, payload=b"1")
            assert len(server.calls) == 1
            if kind == CON:
                assert server.wire.take().raw == first.raw
            else:
                assert not server.wire.sent
    server.get("/x", mid=2, code=2, peer="other")  # same message ID, other peer
    assert len(server.calls) == 2


def test_a_duplicate_of_a_refused_request_gets_the_same_answer():
    server = Server()
    server.get("/refuse", code=2)
    first = server.wire.take()
    server.get("/refuse", code=2)
    assert server.wire.take().raw == first.raw and len(server.calls) == 1


def test_memory_for_duplicates_is_bounded_first_in_first_out():
    server = Server()
    for mid in range(500):
        server.get("/x", code=2, mid=mid)
        server.wire.sent.clear()
        server.calls.clear()
    assert len(server.endpoint._recent) <= 32
    server.get("/x", code=2, mid=499)
    server.get("/x", code=2, mid=480)
    assert not server.calls and len(server.wire.sent) == 2
    server.get("/x", code=2, mid=3)
    assert len(server.calls) == 1


def test_a_datagram_too_long():
    server = Server()
    server.get("/x", code=2, payload=bytes(1290))
    assert server.wire.take().code == 0x8D and not server.calls


async def test_slow_answer_comes_by_itself():
    server = Server(separate_after=20, ack_timeout=500)  # so much later that the loop has had its turn by then
    server.get("/slow", mid=5, token=b"ab")
    assert not server.wire.sent
    while not server.wire.sent:
        await asyncio.sleep(0.005)
    assert server.wire.take().raw == b"\x60\x00\x00\x05"
    server.get("/slow", mid=5, token=b"ab")  # a duplicate meanwhile: acknowledged, not processed
    assert server.wire.take().raw == b"\x60\x00\x00\x05" and len(server.calls) == 1
    server.gate.set()
    while not server.wire.sent:
        await asyncio.sleep(0.005)
    reply = server.wire.take()
    assert reply.type == CON and reply.token == b"ab" and reply.payload == b"late" and reply.code == 0x45
    while not server.wire.sent:  # sent again, until acknowledged
        await asyncio.sleep(0.005)
    assert server.wire.take().raw == reply.raw
    server.endpoint.receive(datagram(ACK, 0, reply.mid), "p")
    assert not server.endpoint._sent
    server.endpoint.close()


async def test_quick_coroutine_is_piggy_backed():
    server = Server()
    server.gate.set()
    server.get("/slow", mid=5)
    while not server.wire.sent:
        await asyncio.sleep(0)
    reply = server.wire.take()
    assert reply.type == ACK and reply.mid == 5 and reply.payload == b"late"
    server.get("/slowcrash", mid=6)
    while not server.wire.sent:
        await asyncio.sleep(0)
    assert server.wire.take().code == 0xA0
    server.endpoint.close()


async def test_slow_requests_are_bounded():
    server = Server()
    for mid in range(20):
        server.get("/slow", mid=mid)
    assert len(server.wire.sent) == 12 and all(m.code == 0xA3 for m in server.wire.sent)
    server.gate.set()
    while len(server.wire.sent) < 20:
        await asyncio.sleep(0)
    server.endpoint.close()


async def test_retransmission_doubles_and_ends():
    server = Server(ack_timeout=20, max_retransmit=3)
    endpoint = server.endpoint
    over = []
    mid = endpoint.next_mid()
    start = ticks_ms()
    endpoint.send_con("p", mid, datagram(CON, 1, mid), over.append)
    assert endpoint.next_mid() != mid
    while not over:
        await asyncio.sleep(0.005)
    assert ticks_diff(ticks_ms(), start) >= 20 + 40 + 80 + 160
    assert over == [None] and len(server.wire.sent) == 4 and not endpoint._sent
    endpoint.close()


async def test_what_there_is_no_memory_for_when_it_is_due_is_done_when_there_is():
    server = Server(ack_timeout=20, max_retransmit=2)
    endpoint = server.endpoint
    over, tried = [], []

    def heard(kind):
        tried.append(kind)
        if len(tried) < 3:
            raise MemoryError
        over.append(kind)

    send, short = server.wire.send, []

    def sent(data, peer):
        short.append(data)
        if len(short) in (2, 3):
            raise MemoryError
        send(data, peer)

    server.wire.send = sent
    mid = endpoint.next_mid()
    endpoint.send_con("p", mid, datagram(CON, 1, mid), heard)
    for _ in range(400):
        if over:
            break
        await sleep_ms(5)
    assert over == [None] and len(tried) == 3
    assert len(server.wire.sent) == 3 and len(short) == 5, "what was not sent is no transmission"
    assert not endpoint._sent and not endpoint._timers
    server.wire.send = send
    tried.clear()
    endpoint.send_con("p", 9, datagram(CON, 1, 9), heard)
    for _ in range(2):
        with raises(MemoryError):
            endpoint.receive(datagram(ACK, 0, 9), "p")
        assert len(over) == 1
    endpoint.receive(datagram(ACK, 0, 9), "p")  # to another transmission
    assert over == [None, ACK] and not endpoint._sent
    endpoint.close()


async def test_what_cannot_be_noted_for_want_of_memory_leaves_nothing():
    class Full(dict):
        def __setitem__(self, key, value):
            raise MemoryError

    server = Server(leisure=0, ack_timeout=20)
    endpoint = server.endpoint
    endpoint._sent = Full()
    over = []
    with raises(MemoryError):
        endpoint.send_con("p", 5, datagram(CON, 1, 5), over.append)
    endpoint._sent = {}
    with raises(MemoryError):
        endpoint.send_con("p", 6, Unreadable(), over.append)
    after, endpoint.after = endpoint.after, server.fail
    for n in range(9):
        with raises(MemoryError):
            server.get("/x", NON, n + 1, b"%d" % n, multicast=True)
    endpoint.after = after
    for _ in range(2):
        await sleep_ms(150)
    assert not server.wire.sent and not endpoint._sent and not endpoint._timers and not over
    server.get("/x", NON, 30, multicast=True)  # requests to the group are still answered
    for _ in range(60):
        if server.wire.sent:
            break
        await sleep_ms(5)
    assert server.wire.take().code == 0x45
    endpoint.close()


async def test_acknowledgement_must_come_from_the_peer():
    server = Server(ack_timeout=1000)
    endpoint = server.endpoint
    over = []
    endpoint.send_con("p", 7, datagram(CON, 1, 7), over.append)
    endpoint.receive(datagram(ACK, 0, 7), "q")
    assert not over
    endpoint.receive(datagram(ACK, 0, 7), "p")
    assert over == [ACK] and not endpoint._timers
    endpoint.send_con("p", 8, datagram(CON, 1, 8), over.append)
    endpoint.receive(datagram(RST, 0, 8), "p")
    assert over == [ACK, RST]
    endpoint.close()


async def test_a_reply_must_come_from_the_peer():
    server = Server()
    exchange = Exchange(server.endpoint, "p", 1, [])
    token = server.wire.take().token
    server.endpoint.receive(datagram(NON, 0x45, 9, token), "q")
    assert server.wire.take().type == RST and exchange.reply is None
    server.endpoint.receive(datagram(NON, 0x45, 9, token, [], b"yes"), "p")
    assert (await exchange.wait()).payload == b"yes" and not server.wire.sent
    server.endpoint.close()


async def test_message_id_wraps_and_is_not_used_twice():
    server = Server()
    endpoint = server.endpoint
    endpoint._mid = 0xFFFE
    endpoint.send_con("p", 0xFFFF, datagram(CON, 1, 0xFFFF))
    endpoint.send_con("p", 0, datagram(CON, 1, 0))
    assert endpoint.next_mid() == 1
    endpoint.close()


async def test_multicast():
    server = Server(leisure=30)
    server.get("/x", CON, multicast=True)
    server.get("/refuse", NON, mid=2, token=b"2", multicast=True)
    server.get("/crash", NON, mid=3, token=b"3", multicast=True)
    server.get("/x", NON, mid=4, token=b"4", options=[(9, b"")], multicast=True)
    server.get("/x", NON, mid=5, token=b"5", multicast=True)
    server.get("/x", NON, mid=6, token=b"5", multicast=True)  # an answer is pending
    server.get("/x", NON, mid=5, token=b"5", peer="q", multicast=True)
    assert not server.calls
    while server.endpoint._waiting:
        await asyncio.sleep(0.005)
    assert sorted(m.peer for m in server.wire.sent) == ["p", "q"]
    assert all(m.type == NON and m.token == b"5" for m in server.wire.sent)
    assert len([c for c in server.calls if c.path == "/x"]) == 2 and server.calls[0].multicast
    server.endpoint.close()


async def test_multicast_answers_are_bounded():
    server = Server(leisure=0)
    for i in range(100):
        server.get("/x", NON, mid=i, token=bytes((i,)), multicast=True)
    assert len(server.endpoint._waiting) <= 8
    while server.endpoint._waiting:
        await asyncio.sleep(0.001)
    server.endpoint.close()


async def test_any_bytes_are_survived():
    import random

    random.seed(7)
    server = Server()
    good = datagram(CON, 2, 1, b"tokn", [(11, "x"), (27, 8), (23, 6), (17, 10000)], bytes(128))
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(random.getrandbits(3)):
            data[random.getrandbits(10) % len(data)] = random.getrandbits(8)
        server.endpoint.receive(data[: random.getrandbits(8)], "p", random.getrandbits(1) == 1)
        server.wire.sent.clear()
        server.calls.clear()
    server.wire.sent.clear()
    server.get("/alive", mid=60000)
    assert server.wire.take().code == 0x45
    assert len(server.endpoint._recent) <= 32 and len(server.endpoint._waiting) <= 8
    server.endpoint.close()


async def test_settings_are_checked():
    try:
        Endpoint(Recorder(), None, acktimeout=1)
    except AttributeError:
        return
    raise AssertionError("a setting that does not exist was taken")


def test_endpoints_of_one_loop_may_share_their_buffer():
    one = Server()
    wire = Recorder()
    two = Endpoint(wire, lambda request: Response(0x45, b"second"), one.endpoint.out)
    assert two.out is one.endpoint.out and one.endpoint.out is not Server().endpoint.out
    two.receive(datagram(CON, 1, 7, b"t", [(11, "x")]), "p")
    one.get("x")
    assert one.wire.take().payload == b"\xa0"
    assert wire.take().payload == b"second"
    one.endpoint.close()
    two.close()
