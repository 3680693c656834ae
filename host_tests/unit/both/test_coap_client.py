"""The client, and both sides together over a wire that loses, repeats and reorders what the test says."""

import asyncio

from check import raises
from coap.client import Client, Exchange, Reset, Timeout, TransferError, code_text, request_options
from coap.endpoint import Endpoint
from coap.message import Refused, Response, parse
from coap.udp import UdpTransport
from coap_rig import CON, Wire, datagram
from port import urandom
from port.sockets import address

BODY = bytes(i * 5 & 0xFF for i in range(5000))


class Pair:
    """A client at end "a", a server at end "b"."""

    def __init__(self, rule=None, handler=None, **settings):
        settings.setdefault("ack_timeout", 20)
        self.wire = Wire(rule)
        self.posts = []
        self.server = Endpoint(self.wire.b, handler or self.handle, separate_after=10, **settings)
        self.here = Endpoint(self.wire.a, None, **settings)
        self.client = Client(self.here)
        self.tasks = [asyncio.create_task(self.server.run()), asyncio.create_task(self.here.run())]
        self.state = 0

    def handle(self, request):
        if request.path == "/big":
            return Response(0x45, BODY[:4500], 60)
        if request.path == "/state":
            return Response(0x45, b"%d" % self.state, observe="state")
        if request.path == "/bigstate":
            return Response(0x45, b"%d" % self.state * 3000, observe="state")
        if request.path == "/slow":
            return self.slow()
        if request.code == 2:
            self.posts.append(request.payload)
            return Response(0x44, request.payload, request.content_format)
        if request.path == "/":
            return Response(0x45, "&".join(request.query))
        raise Refused(0x84, "nothing here")

    async def slow(self):
        await asyncio.sleep(0.03)
        return Response(0x45, b"slow")

    async def close(self):
        self.here.close()
        self.server.close()
        await asyncio.gather(*self.tasks)
        assert not self.here.tokens and not self.here._sent and not self.here._timers


async def test_get_and_errors():
    pair = Pair()
    reply = await pair.client.request("b", 1, "/", query=["a=1", "b"], accept=10000)
    assert reply.code == 0x45 and reply.payload == b"a=1&b"
    request = parse(pair.wire.log[0][1])
    assert request.accept == 10000 and request.ocf_version == 2048 and 4 <= len(request.token) <= 8
    reply = await pair.client.request("b", 1, "/none/such")
    assert code_text(reply.code) == "4.04" and reply.payload == b"nothing here" and reply.content_format is None
    reply = await pair.client.request("b", 2, "/x", payload=b"\xa0", content_format=10000)
    assert reply.code == 0x44 and reply.content_format == 10000 and reply.ocf_version == 2048
    await pair.close()


async def test_everything_lost_once():
    seen = set()

    def rule(sender, _number, data):
        if data in seen:
            return [data]
        seen.add(data)
        return []

    pair = Pair(rule)
    for n in range(3):
        reply = await pair.client.request("b", 2, "/x", payload=b"%d" % n)
        assert reply.payload == b"%d" % n
    assert pair.posts == [b"0", b"1", b"2"]
    reply = await pair.client.request("b", 1, "/slow")
    assert reply.payload == b"slow"
    await pair.close()


async def test_everything_twice():
    pair = Pair(lambda sender, number, data: [data, data])
    for n in range(5):
        assert (await pair.client.request("b", 2, "/x", payload=b"%d" % n)).payload == b"%d" % n
    assert len(pair.posts) == 5
    assert (await pair.client.request("b", 1, "/slow")).payload == b"slow"
    assert (await pair.client.request("b", 1, "/big")).payload == BODY[:4500]
    assert (await pair.client.request("b", 2, "/x", payload=BODY[:4000])).payload == BODY[:4000]
    assert len(pair.posts) == 6
    await pair.close()


async def test_a_third_is_lost_another_repeated():
    def rule(sender, number, data):
        return ([], [data], [data, data], [data])[number * 7 % 4]

    pair = Pair(rule)
    assert (await pair.client.request("b", 1, "/big")).payload == BODY[:4500]
    assert (await pair.client.request("b", 2, "/x", payload=BODY[:3000])).payload == BODY[:3000]
    assert pair.posts == [BODY[:3000]]
    await pair.close()


async def test_separate_answer_before_its_acknowledgement():
    held = []

    def rule(sender, _number, data):
        message = parse(data)
        if sender == "b" and message.type == 2 and message.code == 0:
            held.append(data)
            return []
        return [data] + held

    pair = Pair(rule)
    assert (await pair.client.request("b", 1, "/slow")).payload == b"slow"
    await pair.close()


async def test_nobody_answers():
    pair = Pair(lambda sender, number, data: [], max_retransmit=2, ack_timeout=10)
    with raises(Timeout):
        await pair.client.request("b", 1, "/")
    assert len(pair.wire.log) == 3
    with raises(Timeout):
        await pair.client.request("b", 1, "/", timeout_ms=5)
    with raises(OSError):
        await pair.client.request("b", 1, "/", timeout_ms=5, kind=1)
    await pair.close()


async def test_close_ends_what_waits():
    pair = Pair(lambda sender, number, data: [data] if parse(data).code != 0x45 else [], ack_timeout=1000)
    task = asyncio.create_task(pair.client.request("b", 1, "/slow"))
    while not any(data[0] == 0x60 for _, data in pair.wire.log):  # acknowledged, the answer is to come
        await asyncio.sleep(0.005)
    await pair.close()
    with raises(OSError):
        await task


async def close_from_handler(slow):
    async def later():
        await asyncio.sleep(0)
        pair.server.close()

    pair = Pair(handler=lambda request: later() if slow else pair.server.close())
    request = Exchange(pair.here, "b", 1, [])
    await pair.tasks[0]
    request.cancel()
    await pair.close()


async def test_a_handler_may_close_its_endpoint():
    await close_from_handler(False)
    await close_from_handler(True)


async def test_reset():
    pair = Pair(handler=lambda request: None)
    pair.server.handler = None
    with raises(Reset):
        await pair.client.request("b", 1, "/")
    await pair.close()


async def test_a_cancelled_request_leaves_nothing():
    pair = Pair(lambda sender, number, data: [])
    task = asyncio.create_task(pair.client.request("b", 1, "/"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(pair.here.tokens) == 1
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    assert not pair.here.tokens and not pair.here._sent and not pair.here._timers
    await pair.close()


async def test_answer_with_an_unknown_critical_option_is_rejected():
    def rule(sender, _number, data):
        if sender == "b":
            message = parse(data)
            return [datagram(message.type, 0x45, message.mid, message.token, [(9, b"")])]
        return [data]

    pair = Pair(rule, ack_timeout=10, max_retransmit=1)
    with raises(Timeout):
        await pair.client.request("b", 1, "/", timeout_ms=100)
    await pair.close()


async def test_many_at_a_time():
    pair = Pair(lambda sender, number, data: [] if number % 11 == 3 else [data])
    requests = [pair.client.request("b", 2, "/x", payload=b"%d" % n) for n in range(20)]
    replies = await asyncio.gather(*requests)
    assert [r.payload for r in replies] == [b"%d" % n for n in range(20)]
    assert sorted(pair.posts) == sorted(b"%d" % n for n in range(20))
    await pair.close()


async def test_exchange_for_downloads():
    pair = Pair()
    over = []
    options = request_options("/big")
    first = Exchange(pair.here, "b", 1, options + [(23, 0x06)], done=over.append)
    second = Exchange(pair.here, "b", 1, options + [(23, 0x16)], done=over.append)
    assert (await second.wait()).payload == BODY[1024:2048]
    assert (await first.wait()).payload == BODY[:1024] and first.reply.etag == second.reply.etag
    assert over == [first, second]
    await pair.close()


async def test_server_wants_smaller_blocks():
    large = []

    def rule(sender, _number, data):
        # What a server with little memory answers to the first large block.
        message = parse(data)
        if sender == "a" and message.block1 is not None and message.block1 & 7 == 6:
            large.append(message)
            pair.wire.a.queue.append(datagram(2, 0x8D, message.mid, message.token, [(27, 0x0A)]))
            pair.wire.a.event.set()
            return []
        return [data]

    pair = Pair(rule)
    reply = await pair.client.request("b", 2, "/x", payload=BODY[:1000] * 2)
    assert reply.payload == BODY[:1000] * 2 and len(large) == 1
    await pair.close()


async def test_body_beyond_the_limit_of_either():
    pair = Pair()
    reply = await pair.client.request("b", 2, "/x", payload=BODY)
    assert reply.code == 0x8D and reply.size1 == 4096 and not pair.posts
    with raises(TransferError):
        await pair.client.request("b", 1, "/big", limit=2000)
    await pair.close()


async def test_body_that_changes_under_way():
    def rule(sender, _number, data):
        message = parse(data)
        if sender == "b" and message.block2 is not None and message.block2 >> 4 == 2:
            data = data.replace(message.etag, b"12345678")
        return [data]

    pair = Pair(rule)
    with raises(TransferError):
        await pair.client.request("b", 1, "/big")
    await pair.close()


async def test_observe_and_close():
    pair = Pair()
    observation = await pair.client.observe("b", "/state")
    got = []
    async for reply in observation:
        got.append(int(reply.payload))
        if len(got) == 12:
            break
        pair.state += 1
        pair.server.notify("state")
    assert got == list(range(12))
    await observation.close()
    before = len(pair.wire.log)
    pair.server.notify("state")
    assert len(pair.wire.log) == before
    await pair.close()


async def test_observed_state_in_blocks():
    pair = Pair()
    observation = await pair.client.observe("b", "/bigstate")
    reply = await observation.__anext__()
    assert reply.payload == b"0" * 3000
    pair.state = 7
    pair.server.notify("state")
    reply = await observation.__anext__()
    assert reply.payload == b"7" * 3000
    await observation.close()
    await pair.close()


async def test_old_notification_is_not_shown():
    held = []

    def rule(sender, _number, data):
        if sender == "b" and parse(data).payload == b"1":
            held.append(data)
            return []
        return [data] + [held.pop() for _ in held]

    pair = Pair(rule)
    observation = await pair.client.observe("b", "/state")
    assert (await observation.__anext__()).payload == b"0"
    for pair.state in (1, 2, 3):
        pair.server.notify("state")
    assert (await observation.__anext__()).payload == b"2"
    assert (await observation.__anext__()).payload == b"3"
    await observation.close()
    await pair.close()


async def test_observation_ends_with_an_error_or_without_observe():
    pair = Pair()
    for path, code in (("/none", 0x84), ("/slow", 0x45)):
        got = []
        async for reply in await pair.client.observe("b", path):
            got.append(reply.code)
        assert got == [code]
    await pair.close()


async def test_forgotten_observation_is_reset():
    pair = Pair()
    observation = await pair.client.observe("b", "/state")
    await observation.__anext__()
    observation.cancel()  # as after a restart: the server does not know
    pair.server.notify("state")
    while not any(data[0] & 0x30 == 0x30 for _, data in pair.wire.log):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    before = len(pair.wire.log)
    pair.server.notify("state")
    assert len(pair.wire.log) == before
    await pair.close()


async def test_over_udp_with_discovery():
    def handler(request):
        return Response(0x45, b"multicast" if request.multicast else b"unicast", observe="k")

    port = 20000 + int.from_bytes(urandom(2), "big") // 6  # others test here at the same time
    server = Endpoint(UdpTransport("127.0.0.1", port + 1, ["224.0.1.187"], "127.0.0.1", port), handler, leisure=50)
    here = Endpoint(UdpTransport("127.0.0.1", port + 2))
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(here.run())]
    client = Client(here)
    found = await client.discover(address("224.0.1.187", port), "/oic/res", wait_ms=1500)
    assert len(found) == 1
    reply, peer = found[0]
    assert reply.payload == b"multicast" and reply.type == 1
    requests = [client.request(peer, 1, "/x") for _ in range(30)]
    assert all(r.payload == b"unicast" for r in await asyncio.gather(*requests))
    assert server.requests == 31
    here.close()
    server.close()
    await asyncio.gather(*tasks)
    assert server.transport._sockets == []


async def test_who_is_gone_in_the_middle_of_its_answer_does_not_hold_discovery_up():
    port = 20000 + int.from_bytes(urandom(2), "big") // 6
    server = Endpoint(
        UdpTransport("127.0.0.1", port + 1, ["224.0.1.187"], "127.0.0.1", port),
        lambda request: Response(0x45, bytes(2000)),
        leisure=50,
    )
    here = Endpoint(UdpTransport("127.0.0.1", port + 2))
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(here.run())]
    found = asyncio.create_task(Client(here).discover(address("224.0.1.187", port), "/oic/res", wait_ms=500))
    while not server.transport.bytes_sent:
        await asyncio.sleep(0)
    server.close()  # its first block is on the way; the second is asked for when the 500 ms are over
    assert await asyncio.wait_for(found, 10) == []
    here.close()
    await asyncio.gather(*tasks)


async def test_over_udp_ipv6():
    port = 20000 + int.from_bytes(urandom(2), "big") // 6
    try:
        transport = UdpTransport("::1", port)
    except OSError:
        return  # a machine without IPv6
    server = Endpoint(transport, lambda request: Response(0x45, b"six"))
    here = Endpoint(UdpTransport("::1", port + 1))
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(here.run())]
    assert (await Client(here).request(address("::1", port), 1, "/")).payload == b"six"
    here.close()
    server.close()
    await asyncio.gather(*tasks)


async def test_ping():
    pair = Pair()
    over = []
    mid = pair.here.next_mid()
    pair.here.send_con("b", mid, datagram(CON, 0, mid), over.append)
    while not over:
        await asyncio.sleep(0)
    assert over == [3]
    await pair.close()
