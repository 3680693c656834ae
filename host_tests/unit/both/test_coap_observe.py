"""Observation, the server's side: RFC 7641."""

import asyncio

from coap.endpoint import Endpoint
from coap.flush import flush
from coap.message import Refused, Response
from coap_rig import ACK, CON, NON, RST, Recorder, datagram


class Server:
    """A Resource whose state is `self.state`, at every path; the path is the key."""

    def __init__(self, **settings):
        self.state = b"0"
        self.code = 0x45
        self.wire = Recorder()
        self.endpoint = Endpoint(self.wire, self.handle, **settings)
        self.mid = 0

    def handle(self, request):
        if self.code == 0x81:
            raise Refused(0x81, "no")
        if request.path == "/later":
            return self.later()
        return Response(self.code, self.state, 60, observe=request.path)

    async def later(self):
        state = self.state
        await asyncio.sleep(0)
        return Response(0x45, state, observe="/later")

    def get(self, observe, token=b"t", path="x", peer="p", options=()):
        self.mid += 1
        options = [(11, path)] + list(options) + ([] if observe is None else [(6, observe)])
        self.endpoint.receive(datagram(CON, 1, self.mid, token, options), peer)
        return self.wire.take()

    def notify(self, state, **arguments):
        self.state = state
        self.endpoint.notify("/x", **arguments)

    def ack(self, message, kind=ACK):
        self.endpoint.receive(datagram(kind, 0, message.mid), message.peer)


def test_each_state_is_rendered_at_once():
    server = Server()
    first = server.get(0)
    assert first.type == ACK and first.observe is not None
    for n in range(3):
        server.notify(b"%d" % n)
    sent = server.wire.sent
    assert [m.payload for m in sent] == [b"0", b"1", b"2"]
    assert all(m.type == NON and m.token == b"t" and m.content_format == 60 for m in sent)
    numbers = [first.observe] + [m.observe for m in sent]
    assert numbers == sorted(set(numbers)) and len({m.mid for m in sent}) == 3


def test_only_observers_of_the_key():
    server = Server()
    server.get(0, b"1", "x")
    server.get(0, b"2", "y")
    server.get(None, b"3", "x")
    server.notify(b"new")
    assert server.wire.take().token == b"1"


def test_cancelled_by_the_client():
    server = Server()
    server.get(0)
    assert server.get(1).observe is None
    server.notify(b"1")
    assert not server.wire.sent


def test_one_registration_for_a_token():
    server = Server()
    server.get(0)
    again = server.get(0)
    server.notify(b"1")
    assert server.wire.take().observe > again.observe
    server.get(0, peer="q")
    server.notify(b"2")
    assert len(server.wire.sent) == 2


def test_number_of_observers_is_bounded():
    server = Server(max_observers=3)
    answers = [server.get(0, bytes((i,))) for i in range(5)]
    assert [a.observe is not None for a in answers] == [True] * 3 + [False] * 2
    assert all(a.code == 0x45 for a in answers)
    server.get(1, bytes((1,)))
    assert server.get(0, b"9").observe is not None


def test_reset_of_a_non_cancels():
    server = Server()
    server.get(0)
    server.notify(b"1")
    message = server.wire.take()
    message.peer = "somebody else"
    server.ack(message, RST)
    server.notify(b"2")
    server.ack(server.wire.take(), RST)
    server.notify(b"3")
    assert not server.wire.sent


def test_reset_of_some_other_message_cancels_nothing():
    server = Server()
    server.get(0)
    server.notify(b"1")
    message = server.wire.take()
    message.mid = (message.mid + 9) & 0xFFFF
    server.ack(message, RST)
    server.notify(b"2")
    assert server.wire.take().payload == b"2"


async def test_dropped_observer_is_sent_nothing_more():
    server = Server(ack_timeout=10)
    server.get(0)
    server.notify(b"1", confirmable=True)
    server.notify(b"2")
    server.endpoint.drop()
    message = server.wire.take()
    assert not server.endpoint._sent and not server.endpoint._timers
    server.ack(message)
    assert not server.wire.sent
    server.endpoint.close()


async def test_every_fifth_is_confirmable_and_others_wait_for_it():
    server = Server()
    server.get(0)
    for n in range(12):
        server.notify(b"%d" % n)
    sent = server.wire.sent
    assert [m.type for m in sent] == [NON] * 4 + [CON]
    server.ack(sent[4])
    # Of 5..11 the last four waited, in order.
    assert [m.payload for m in sent[5:]] == [b"8", b"9", b"10", b"11"]
    numbers = [m.observe for m in sent]
    assert numbers == sorted(set(numbers))
    server.endpoint.close()


async def test_confirmable_on_demand_and_flush():
    server = Server(ack_timeout=30)
    server.get(0)
    server.notify(b"1", confirmable=True)
    server.notify(b"2", confirmable=True)
    first = server.wire.take()
    assert first.type == CON
    assert not await flush(server.endpoint, 10)
    server.ack(first)
    second = server.wire.take()
    assert second.type == CON and second.payload == b"2"
    server.ack(second)
    assert await flush(server.endpoint, 10)
    server.endpoint.close()


async def test_unanswered_con_ends_the_observation():
    server = Server(ack_timeout=10, max_retransmit=1)
    server.get(0)
    server.notify(b"1", confirmable=True)
    server.notify(b"2")
    assert await flush(server.endpoint, 2000)
    assert [m.payload for m in server.wire.sent] == [b"1", b"1"]
    server.wire.sent.clear()
    server.notify(b"3")
    assert not server.wire.sent
    server.endpoint.close()


async def test_reset_of_a_con_ends_the_observation():
    server = Server()
    server.get(0)
    server.notify(b"1", confirmable=True)
    server.ack(server.wire.take(), RST)
    server.notify(b"2")
    assert not server.wire.sent and await flush(server.endpoint, 10)
    server.endpoint.close()


async def test_con_when_the_last_is_old():
    server = Server(con_every=10)
    server.get(0)
    await asyncio.sleep(0.02)
    server.notify(b"1")
    assert server.wire.take().type == CON
    server.endpoint.close()


async def test_other_answer_than_content_ends_the_observation():
    server = Server()
    server.get(0)
    server.code = 0x81
    server.notify(b"1")
    last = server.wire.take()
    assert last.code == 0x81 and last.observe is None and last.token == b"t"
    server.code = 0x45
    server.notify(b"2")
    assert not server.wire.sent
    assert server.get(None).code == 0x45
    server.endpoint.close()


def test_refused_get_is_no_observation():
    server = Server()
    server.code = 0x81
    assert server.get(0).observe is None
    server.code = 0x45
    server.notify(b"1")
    assert not server.wire.sent


def test_drop():
    server = Server()
    server.get(0, b"1", peer="p")
    server.get(0, b"2", peer="q")
    server.endpoint.drop("p")
    server.notify(b"1")
    assert server.wire.take().peer == "q"
    server.endpoint.drop()
    server.notify(b"2")
    assert not server.wire.sent


def test_nothing_is_sent_to_somebody_else_at_the_same_address():
    server = Server()
    server.wire.who["p"] = "uuid-1"
    server.get(0)
    server.wire.who["p"] = "uuid-2"
    server.notify(b"secret")
    assert not server.wire.sent


async def test_a_coroutine_renders():
    server = Server()
    server.endpoint.receive(datagram(CON, 1, 1, b"t", [(6, 0), (11, "later")]), "p")
    while not server.wire.sent:
        await asyncio.sleep(0)
    assert server.wire.take().observe is not None
    server.state = b"new"
    server.endpoint.notify("/later")
    while not server.wire.sent:
        await asyncio.sleep(0)
    assert server.wire.take().payload == b"new"
    server.endpoint.close()


async def test_what_a_coroutine_renders_is_told_to_who_has_asked_anew_meanwhile():
    server = Server()
    for mid in (1, 2):
        server.endpoint.receive(datagram(CON, 1, mid, b"t", [(6, 0), (11, "later")]), "p")
        while mid == 1 and not server.wire.sent:
            await asyncio.sleep(0)
    await asyncio.sleep(0)  # the second has read the old state
    server.state = b"new"
    server.endpoint.notify("/later")
    for _ in range(5):
        await asyncio.sleep(0)
    assert [m.payload for m in server.wire.sent] == [b"0", b"0", b"new"]
    server.endpoint.close()


async def test_coroutines_that_render_are_bounded():
    server = Server(max_observers=20)
    for mid in range(12):
        server.endpoint.receive(datagram(NON, 1, mid, bytes((mid,)), [(6, 0), (11, "later")]), "p")
        while len(server.wire.sent) <= mid:
            await asyncio.sleep(0)
    server.wire.sent.clear()
    server.endpoint.notify("/later")  # does not raise
    assert [m.code for m in server.wire.sent] == [0xA3] * 4
    while len(server.wire.sent) < 12:
        await asyncio.sleep(0)
    server.endpoint.close()


async def test_duplicate_of_an_observing_get_with_a_coroutine_is_answered():
    server = Server()
    data = datagram(CON, 1, 1, b"t", [(6, 0), (11, "later")])
    server.endpoint.receive(data, "p")
    while not server.wire.sent:
        await asyncio.sleep(0)
    first = server.wire.take()
    server.endpoint.receive(data, "p")
    assert server.wire.take().raw == first.raw
    server.endpoint.close()


async def test_long_state_begins_with_its_first_block():
    server = Server()
    server.state = bytes(2000)
    assert server.get(0).block2 == 0x0E
    server.notify(b"a" * 1500 + b"b" * 600)
    message = server.wire.take()
    assert message.block2 == 0x0E and message.size2 == 2100 and message.payload == b"a" * 1024
    assert message.observe is not None
    server.state = b"c" * 3000  # not yet notified: the rest belongs to what was
    rest = server.get(None, b"other", options=[(23, 0x16)])
    assert rest.etag == message.etag and rest.payload == b"a" * 476 + b"b" * 548 and rest.observe is None
    rest = server.get(None, b"other", options=[(23, 0x26)])
    assert rest.payload == b"b" * 52 and rest.block2 == 0x26
    server.endpoint.close()


def test_sequence_wraps_at_24_bits():
    server = Server()
    server.get(0)
    server.endpoint.sequence = 0xFFFFFF
    server.notify(b"1")
    assert server.wire.take().observe == 0


async def test_an_observation_renewed_while_one_waits_for_its_acknowledgement_goes_on():
    server = Server()
    server.get(0)
    server.notify(b"1", confirmable=True)
    first = server.wire.take()
    server.notify(b"2")
    assert not server.wire.sent  # it waits
    assert server.get(0).payload == b"2" and len(server.endpoint.observers) == 1
    server.ack(first)
    assert server.wire.take().payload == b"2"
    server.notify(b"3")
    assert server.wire.take().payload == b"3"
    server.endpoint.close()
