"""How much goes out in the clear: three times what came, and a rate beyond it (RFC 7252 section 11.3)."""

import coap.endpoint
from coap.endpoint import Endpoint
from coap.message import Response
from coap_rig import CON, NON, datagram

RATE, BURST = 4, 8000
QUESTION = [(11, "a")]


class Counting:
    """A transport that counts, as UdpTransport does."""

    secure = False
    bytes_sent = total = count = 0

    def send(self, data, peer):
        self.bytes_sent += len(data)
        self.total += len(data)
        self.count += 1

    def identity(self, peer):
        return None

    def close(self):
        pass


class Rig:
    """An endpoint whose answers have so many bytes, at a time that the test sets."""

    def __init__(self, size=1000, **settings):
        self.now = 1000
        coap.endpoint.ticks_ms = lambda: self.now
        self.wire = Counting()
        self.asked = 0
        settings = settings or {"rate": RATE, "burst": BURST}
        self.endpoint = Endpoint(self.wire, lambda request: Response(0x45, bytes(size), observe="a"), **settings)

    def ask(self, kind=CON, options=QUESTION, payload=b"", multicast=False, peer="p"):
        """Whether a question is answered."""
        self.asked += 1
        before = self.wire.count
        data = datagram(kind, 1, self.asked & 0xFFFF, b"t", options, payload)
        self.endpoint.receive(memoryview(data), peer, multicast)
        return self.wire.count > before

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        coap.endpoint.ticks_ms = REAL
        self.endpoint.close()


REAL = coap.endpoint.ticks_ms


def test_what_was_saved_up_is_spent_and_comes_again_with_time():
    with Rig() as rig:
        answered = [rig.ask() for _ in range(50)]
        assert answered[:8] == [True] * 8 and sum(answered) < 11
        assert not all(rig.ask() for _ in range(50))
        rig.now += 1100 // RATE
        again = [rig.ask() for _ in range(4)]
        assert again[0] and not again[3]
        rig.now += 3_600_000
        assert 8 <= sum([rig.ask() for _ in range(50)]) < 11, "no more than that is saved up"


def test_what_is_no_longer_than_three_times_the_question_is_always_answered():
    with Rig(6) as rig:
        assert all(rig.ask() for _ in range(5000))
    with Rig(400) as rig:
        assert all(rig.ask(payload=bytes(140)) for _ in range(500))


def test_unanswered_questions_count_as_well():
    """So that a Client among many who ask is answered now and then."""
    with Rig() as rig:
        answered = sum([rig.ask() for _ in range(2000)])
        assert 40 < answered < 60, answered


def test_whatever_is_asked_no_more_goes_out():
    with Rig() as rig:
        came = 0
        for i in range(3000):
            rig.now += i % 3
            kind, payload = (CON, NON)[i & 1], bytes(i * 7 % 200)
            came += len(datagram(kind, 1, 1, b"t", list(QUESTION), payload))
            rig.ask(kind, list(QUESTION), payload, peer=i % 11)
            assert rig.wire.total <= 3 * came + BURST + rig.now * RATE + 1100


async def test_notifications_and_repetitions_count():
    with Rig() as rig:
        assert rig.ask(options=[(6, b"")] + QUESTION)
        for _ in range(4):
            rig.endpoint.notify("a", False)
        assert sum([rig.ask() for _ in range(10)]) == 4  # and not 8
    with Rig() as rig:
        rig.endpoint.send_con("p", 77, bytes(1200))
        for _ in range(4):
            rig.endpoint._again(77)
        assert sum([rig.ask() for _ in range(10)]) == 3  # and not 8


def test_a_clock_that_has_turned_round_is_no_debt():
    with Rig() as rig:
        assert not all(rig.ask() for _ in range(50))
        rig.now -= 5000
        assert rig.ask()


def test_without_a_rate_there_is_no_limit():
    with Rig(rate=0) as rig:
        assert all(rig.ask() for _ in range(500))


def test_a_refusal_to_hear_changes_nothing():
    """The same message is heard when its Client sends it again."""
    with Rig() as rig:
        done = []
        rig.endpoint.handler = lambda request: done.append(request.code) or Response(0x44)
        while rig.endpoint._left > 0:
            rig.endpoint._affordable(0)
            rig.wire.bytes_sent += 1000
        post = datagram(CON, 2, 9, b"t", list(QUESTION), b"x")
        rig.endpoint.receive(memoryview(post), "p")
        assert not done
        rig.now += 5000
        rig.endpoint.receive(memoryview(post), "p")
        rig.endpoint.receive(memoryview(post), "p")
        assert done == [2]
