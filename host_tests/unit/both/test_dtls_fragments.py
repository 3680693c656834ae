"""Handshake messages in pieces, out of order, too many, too long: what can be put together is, the rest costs nothing."""

from asyncio import create_task

from dtls.record import records
from dtls_forger import Forger, fragment, record
from dtls_rig import (
    APPLICATION,
    CCS,
    CERT_CCM8,
    CERTIFICATE,
    CLIENT_KEY,
    FINISHED,
    HANDSHAKE,
    OTHER,
    PSK_CCM8,
    SERVER,
    Credentials,
    World,
    now,
    settle,
    simulated,
    since,
)
from port import sleep_ms, urandom

NAME = b"a name of some length, so that it can be cut into pieces"


class Cut:
    """A Forger whose ClientKeyExchange goes through `cut(number, body, rest)`, which gives datagrams.

    `rest` are ChangeCipherSpec and Finished. `go()` gives what the handshake ended with.
    """

    def __init__(self, world, cut, once=False):
        self.world = world
        self.cut = cut
        self.once = once
        self.count = 0
        world.server.credentials.known[NAME] = world.server.credentials.known[b"client"]
        self.forger = Forger(world.network, Credentials((PSK_CCM8,), name=NAME.decode()))
        world.network.rule = self.rule

    def rule(self, source, _target, data):
        if source != self.forger.end.address or data[0] != HANDSHAKE or data[13] != CLIENT_KEY:
            return [data]
        self.count += 1
        if self.once and self.count > 1:
            return [data]
        first = next(records(data))
        return self.cut(first[17] << 8 | first[18], bytes(first[25:]), data[len(first) :])

    async def go(self):
        began = now()
        error = await self.forger.go()
        self.took = since(began)
        if error is None:
            self.forger.put(APPLICATION, b"in")
            await settle()
            assert [data for data, _ in self.world.server.heard] == [b"in"]
            self.world.server.heard.clear()
        return error


def part(number, body, begin, end, length=None, kind=CLIENT_KEY):
    """A record with the bytes from `begin` to `end` of the message."""
    return record(HANDSHAKE, fragment(kind, number, length or len(body), begin, body[begin:end]))


def pieces(number, body, size):
    return [part(number, body, at, at + size) for at in range(0, len(body), size)]


async def passes(cut, most=100, once=False):
    """The handshake must succeed, within `most` simulated ms."""
    async with World() as world:
        attempt = Cut(world, cut, once)
        assert await attempt.go() is None
        assert attempt.took <= most, attempt.took


@simulated
async def test_pieces_in_order():
    await passes(lambda n, body, rest: pieces(n, body, 20) + [rest])


@simulated
async def test_pieces_of_one_byte_in_one_record():
    def cut(n, body, rest):
        return [record(HANDSHAKE, b"".join(p[13:] for p in pieces(n, body, 1))) + rest]

    await passes(cut)


@simulated
async def test_pieces_that_come_twice_overlap_and_are_empty():
    def cut(n, body, rest):
        bounds = ((0, 0), (0, 10), (0, 10), (5, 25), (10, 12), (25, 25), (20, len(body)), (30, len(body)))
        return [b"".join(part(n, body, a, b) for a, b in bounds) + rest]

    await passes(cut)


@simulated
async def test_pieces_in_any_order_are_whole_after_repetitions():
    orders = ((1, 0, 2), (2, 0, 1), (2, 1, 0), (1, 2, 0))
    for order in orders:

        def cut(n, body, rest, order=order):
            three = pieces(n, body, 20)
            return [three[i] for i in order] + [rest]

        await passes(cut, 3100)


@simulated
async def test_what_comes_before_its_turn_is_kept():
    await passes(lambda n, body, rest: [rest, part(n, body, 0, len(body))])


@simulated
async def test_change_cipher_spec_says_nothing():
    """Keys change with the epoch: absent, forged, early or repeated, it makes no difference."""
    ccs = record(CCS, b"\1")

    def finished(rest):
        return list(records(rest))[1]

    await passes(lambda n, body, rest: [part(n, body, 0, 99), finished(rest)])
    await passes(lambda n, body, rest: [ccs, part(n, body, 0, 99) + ccs, ccs + ccs, finished(rest), ccs])
    await passes(lambda n, body, rest: [record(CCS, b"\2"), record(CCS, b""), part(n, body, 0, 99) + rest])


@simulated
async def test_pieces_that_lie_are_passed_over():
    def cut(n, body, rest):
        size = len(body)
        lies = (
            fragment(CLIENT_KEY, n, size, 1, body),  # ends beyond the message
            fragment(CLIENT_KEY, n, size, 1 << 23, body[:1]),
            fragment(CLIENT_KEY, n, 4, 0, body),  # longer than the message
            fragment(CLIENT_KEY, n, 6145, 0, body),  # too long a message
            fragment(CLIENT_KEY, n, (1 << 24) - 1, 0, body),
            fragment(CLIENT_KEY, n, size, 0, body)[:-1],  # longer than its record
            fragment(CLIENT_KEY, n, size, 0, body)[:11],  # no whole header
            fragment(FINISHED, n, 12, 0, bytes(12)),  # Finished in the clear
            fragment(CLIENT_KEY, n, size, 5, b""),  # not the beginning
        )
        return [b"".join(record(HANDSHAKE, lie) for lie in lies) + part(n, body, 0, size) + rest]

    await passes(cut)


@simulated
async def test_pieces_that_contradict_each_other_end_in_nothing():
    for liar in (
        lambda n, body: part(n, body, 0, 10, len(body) + 5),
        lambda n, body: part(n, body, 0, 10, kind=CERTIFICATE),
    ):
        async with World() as world:
            attempt = Cut(world, lambda n, body, rest, liar=liar: [liar(n, body), part(n, body, 0, 99) + rest])
            error = await attempt.go()
            assert error.args[0] == 110 and not world.server.transport.sessions.get(attempt.forger.end.address)


@simulated
async def test_a_message_that_never_ends_is_given_up():
    async with World() as world:
        attempt = Cut(world, lambda n, body, rest: [part(n, body, 0, 20), part(n, body, 10, 30)])
        task = create_task(attempt.go())
        await sleep_ms(10_000)
        ((handshake, _),) = world.server.transport.handshakes.values()
        assert len(handshake._part) == 30
        assert (await task).args[0] == 110


@simulated
async def test_what_is_left_of_one_message_is_no_part_of_the_next():
    """A message and the beginning of the same one once more, in one record."""

    async with World() as world:
        credentials = Credentials((CERT_CCM8,), OTHER)
        forger = Forger(world.network, credentials)

        def rule(source, _target, data):
            if source != forger.end.address or data[0] != HANDSHAKE or data[13] != CERTIFICATE:
                return [data]
            first = next(records(data))
            body = first[13:]
            again = fragment(CERTIFICATE, first[17] << 8 | first[18], len(body) - 12, 0, bytes(body[12:40]))
            return [record(HANDSHAKE, bytes(body) + again), data[len(first) :]]

        world.network.rule = rule
        began = now()
        assert await forger.go() is None
        assert since(began) < 100


@simulated
async def test_messages_long_and_longer():
    """A Certificate of 6144 bytes is taken, one of a byte more is not there."""
    for size, taken in ((6144, True), (6145, False)):
        async with World() as world:
            credentials = Credentials((CERT_CCM8,), OTHER)
            credentials.own = [OTHER[1] + bytes(size - 64 - 6)], OTHER[0]
            forger = Forger(world.network, credentials)
            task = create_task(forger.go())
            await sleep_ms(100)
            assert (forger.end.address in world.server.transport.sessions) == taken
            assert bool(world.server.credentials.chains) == taken
            assert (await task is None) == taken


@simulated
async def test_only_certificates_are_that_long():
    """Of another message that is to have more than 1536 bytes not even the beginning is kept."""
    for length, kept in ((1536, 40), (1537, 0), (6144, 0)):
        async with World() as world:
            attempt = Cut(world, lambda n, body, rest, length=length: [part(n, body, 0, 40, length)])
            task = create_task(attempt.go())
            await sleep_ms(100)
            ((handshake, _),) = world.server.transport.handshakes.values()
            assert len(handshake._part) == kept
            assert (await task).args[0] == 110


@simulated
async def test_early_messages_are_few_and_small():
    async with World() as world:

        def cut(n, body, rest):
            many = [fragment(CLIENT_KEY, n + i, 700, 0, urandom(700)) for i in range(1, 6)]
            many += [fragment(CLIENT_KEY, n + 10 + i, 20, 0, urandom(20)) for i in range(50)]
            return [record(HANDSHAKE, data) for data in many[:5]] + [record(HANDSHAKE, b"".join(many[5:]))]

        attempt = Cut(world, cut)
        task = create_task(attempt.go())
        await sleep_ms(6000)
        ((handshake, _),) = world.server.transport.handshakes.values()
        assert len(handshake._early) == 3 and sum(len(body) for _, _, body in handshake._early) <= 2048
        task.cancel()


@simulated
async def test_records_that_wait_are_few():
    """While the server calculates, what comes for the handshake is bounded."""
    async with World() as world:
        gate = []

        async def trust(chain):
            while not gate:
                await sleep_ms(50)
            return chain[0][:64], "uuid"

        world.server.credentials.trust = trust
        forger = Forger(world.network, Credentials((CERT_CCM8,), OTHER))
        task = create_task(forger.go())
        await settle()
        ((handshake, _),) = world.server.transport.handshakes.values()
        handshake._inbox.clear()
        for size, most in ((1000, 8), (20, 16)):
            for i in range(100):
                world.network.inject(forger.end.address, SERVER, record(HANDSHAKE, urandom(size), i & 1, i))
                if i % 10 == 9:
                    await settle()
            assert len(handshake._inbox) == most and sum(len(data) for data in handshake._inbox) <= 8192
            if size == 1000:
                handshake._inbox.clear()
        gate.append(True)
        assert await task is None, "they are nothing, and the handshake goes on"
        del world.server.credentials.trust


@simulated
async def test_messages_before_the_answer_are_asked_for_again_at_their_pace():
    """An old message makes the server repeat its flight, but not for each."""
    async with World() as world:
        attempt = Cut(world, lambda n, body, rest: [])
        task = create_task(attempt.go())
        await settle()
        address = attempt.forger.end.address
        task.cancel()
        await settle()
        world.network.log.clear()
        for _ in range(20):
            for _ in range(10):
                world.network.inject(address, SERVER, record(HANDSHAKE, fragment(CLIENT_KEY, 0, 3, 0, b"abc")))
            await sleep_ms(50)
        assert 2 <= len(world.network.sent(SERVER, address)) <= 4
