"""ClientHellos: nothing is kept before a cookie comes back, and what the cookie is for."""

from asyncio import create_task

from check import raises
from dtls import transport
from dtls.hello import ClientHello
from dtls.record import records
from dtls_forger import Forger, alerts, fragment, record
from dtls_rig import (
    ANON,
    CLIENT_HELLO,
    HANDSHAKE,
    PSK_CCM8,
    SERVER,
    SUITES,
    VERIFY_REQUEST,
    Credentials,
    Network,
    Peer,
    World,
    exchange,
    settle,
    simulated,
)
from port import heap_used, reserve, sleep_ms

FLOOD = 3000
ME = ("me", 1)


def hello_body(cookie=b"", random=None, suites=SUITES, version=b"\xfe\xfd", session=b"", compression=b"\0", more=b""):
    """A ClientHello; `more` is what comes after the compression methods."""
    return b"".join(
        (version, random or bytes(range(32)), bytes((len(session),)), session, bytes((len(cookie),)), cookie)
        + ((2 * len(suites)).to_bytes(2, "big"), b"".join(n.to_bytes(2, "big") for n in suites))
        + (bytes((len(compression),)), compression, more)
    )


def hello(body, number=0, sequence=0):
    """The datagram of it."""
    return record(HANDSHAKE, fragment(CLIENT_HELLO, number, len(body), 0, body), 0, sequence)


def cookie_in(datagram):
    """The cookie of a HelloVerifyRequest."""
    (one,) = records(datagram)
    assert one[0] == HANDSHAKE and one[13] == VERIFY_REQUEST
    assert len(one) == 25 + 3 + one[27]
    return bytes(one[28:])


async def ask(world, body, source=ME, **numbers):
    """What the server sends at once for this ClientHello."""
    count = len(world.network.log)
    world.network.inject(source, SERVER, hello(body, **numbers))
    await settle()
    return [data for s, t, data in world.network.log[count:] if t == source]


async def cookie_for(world, source=ME, **fields):
    """A good cookie."""
    (answer,) = await ask(world, hello_body(**fields), source)
    return cookie_in(answer)


async def begins(world, body, source=ME, **numbers):
    """Whether the ClientHello begins a handshake; it is given up at once."""
    await ask(world, body, source, **numbers)
    found = source in world.server.transport.handshakes
    world.server.transport.end_handshake(source)
    await settle()
    return found


@simulated
async def test_a_flood_of_hellos_from_everywhere_leaves_no_state():
    async with World() as world:
        answers = []

        def rule(_source, _target, data):
            answers.append(len(data))
            return []

        world.network.rule = rule

        async def flood(count):
            for i in range(count):
                body = hello_body(random=i.to_bytes(32, "big"))
                assert len(hello(body)) >= 60  # no answer is larger than what asked for it
                world.network.inject(("10.0.%d.%d" % (i >> 8, i & 255), i), SERVER, hello(body))
                if i % 50 == 49:
                    await settle()
                    world.network.log.clear()
            await settle()
            assert len(answers) == count and max(answers) <= 60
            answers.clear()

        await flood(100)
        before = heap_used()
        await flood(FLOOD)
        assert heap_used() - before < 1000
        assert world.server.handshakes == 0 and len(world.server.transport.sessions) == 1
        assert len(world.server.transport.__dict__) == len(Peer(Network(), SERVER, server=True).transport.__dict__)


@simulated
async def test_cookies_that_are_wrong_are_answered_as_none():
    async with World() as world:
        good = await cookie_for(world)
        assert len(good) == 16
        for cookie in (
            bytes(16),
            good[:-1] + bytes((good[-1] ^ 1,)),
            good[:8],
            good[:-1],
            good + b"\0",
            good * 2,
            bytes(255),
            b"\0",
        ):
            (answer,) = await ask(world, hello_body(cookie), number=1, sequence=1)
            assert cookie_in(answer) == good
            assert world.server.handshakes == 0
        assert await begins(world, hello_body(good), number=1, sequence=1)


@simulated
async def test_a_cookie_is_good_at_its_address_only():
    async with World() as world:
        good = await cookie_for(world)
        for other in (("me", 2), ("you", 1)):
            (answer,) = await ask(world, hello_body(good), other)
            assert cookie_in(answer) != good and world.server.handshakes == 0
        assert await begins(world, hello_body(good))


@simulated
async def test_a_cookie_is_good_for_two_minutes_and_no_longer_than_four():
    async with World() as world:
        good = await cookie_for(world)
        await sleep_ms(120_000)
        assert await begins(world, hello_body(good))
        await sleep_ms(150_000)
        assert not await begins(world, hello_body(good))
        assert await cookie_for(world) != good


@simulated
async def test_a_cookie_is_of_one_server():
    one, two = World(), World()
    async with one, two:
        assert await cookie_for(one) != await cookie_for(two)


@simulated
async def test_the_cookie_covers_the_hello():
    async with World() as world:
        good = await cookie_for(world)
        for changed in (
            {"random": bytes(32)},
            {"suites": (ANON,)},
            {"suites": SUITES[1:] + SUITES[:1]},
            {"version": b"\xfe\xfc"},
            {"session": b"12345678"},
            {"compression": b"\0\1"},
        ):
            (answer,) = await ask(world, hello_body(good, **changed))
            assert cookie_in(answer) != good, changed
            assert world.server.handshakes == 0


@simulated
async def test_the_answer_bears_the_numbers_of_the_hello():
    async with World() as world:
        (answer,) = await ask(world, hello_body(), sequence=0x1234)
        assert answer[5:11] == b"\0\0\0\0\x12\x34" and answer[17:19] == b"\0\0"
        cookie = cookie_in(answer)
        flight = await ask(world, hello_body(cookie), number=1, sequence=0x1300)
        first = next(records(flight[0]))
        assert first[5:11] == b"\0\0\0\0\x13\0" and first[13] == 2 and first[17:19] == b"\0\1"


@simulated
async def test_numbers_that_nobody_comes_to_are_ignored():
    """They would overflow in the middle of the answer."""
    async with World() as world:
        good = await cookie_for(world)
        for cookie in (b"", good):
            for numbers in ({"sequence": (1 << 48) - 1}, {"sequence": 1 << 40}, {"number": 65535}, {"number": 256}):
                assert await ask(world, hello_body(cookie), **numbers) == []
        assert world.server.handshakes == 0


@simulated
async def test_hellos_that_are_none_are_ignored():
    async with World() as world:
        whole = hello_body(more=b"\0\4\0\x17\0\0")
        good = await cookie_for(world)
        bodies = [whole[:i] for i in range(len(whole)) if i != len(hello_body())]
        bodies += [whole + b"\0", hello_body(more=b"\0\5\0\x17\0\0"), hello_body(more=b"\0\x08\0\x17\0\0\0\x17\0\0")]
        bodies += [hello_body(more=b"\0\3\0\x17\0"), hello_body(more=b"\0\0\0"), hello_body(good) + b"\0"]
        for body in bodies:
            assert await ask(world, body) == [], body
        world.network.log.clear()
        body = hello_body()
        for lie in (
            fragment(CLIENT_HELLO, 0, len(body) + 1, 0, body),
            fragment(CLIENT_HELLO, 0, len(body), 0, body[:-1]),
            fragment(CLIENT_HELLO, 0, len(body), 0, body) + b"\0",
            fragment(CLIENT_HELLO, 0, 1 << 23, 0, body),
        ):
            world.network.inject(ME, SERVER, record(HANDSHAKE, lie))
        await settle()
        assert not world.network.sent(SERVER)


@simulated
async def test_hellos_that_cannot_be_met_are_refused_once_the_cookie_is_back():
    async with World() as world:
        groups = b"\0\x08\0\x0a\0\4\0\2\0\x18"  # P-384 alone
        signatures = b"\0\x08\0\x0d\0\4\0\2\5\3"  # SHA-384 alone
        renegotiation = b"\0\x11\xff\1\0\x0d\x0c" + bytes(11) + b"\1"
        for fields in (
            {"version": b"\xfe\xff"},
            {"version": b"\3\3"},
            {"compression": b"\1"},
            {"compression": b""},
            {"suites": ()},
            {"suites": (0x1301, 0xC02B, 0x00FF)},
            {"suites": (ANON,), "more": groups},
            {"suites": SUITES[3:], "more": signatures},
            {"more": renegotiation},
        ):
            cookie = await cookie_for(world, **fields)
            assert alerts(await ask(world, hello_body(cookie, **fields))) == [(2, 40)], fields
            assert world.server.handshakes == 0
        later = await cookie_for(world, version=b"\xfe\xfc")
        (flight,) = await ask(world, hello_body(later, version=b"\xfe\xfc"))
        assert next(records(flight))[25:27] == b"\xfe\xfd", "a Client of a later version gets 1.2"


@simulated
async def test_unknown_extensions_and_lists_are_passed_over():
    async with World() as world:
        more = b"\0\x0a\0\6\0\4\0\x18\0\x17" + b"\x12\x34\0\3abc"
        more = len(more).to_bytes(2, "big") + more
        cookie = await cookie_for(world, suites=(0x1301, ANON), more=more)
        assert await begins(world, hello_body(cookie, suites=(0x1301, ANON), more=more))
        parsed = ClientHello(hello_body(suites=(0x1301, ANON), more=more))
        assert parsed.choose(SUITES) == ANON and not parsed.extended


@simulated
async def test_a_hello_that_comes_again_begins_one_handshake():
    async with World() as world:
        cookie = await cookie_for(world)
        flight = await ask(world, hello_body(cookie), number=1)
        handshake = world.server.transport.handshakes[ME][0]
        assert flight and await ask(world, hello_body(cookie), number=1) == [], "too soon"
        await sleep_ms(400)
        again = await ask(world, hello_body(cookie), number=1)
        assert [len(data) for data in again] == [len(data) for data in flight] and again != flight
        assert world.server.transport.handshakes[ME][0] is handshake


@simulated
async def test_a_hello_replayed_on_its_session_begins_nothing():
    async with World() as world:
        client, session, other = await world.client()
        second = world.network.sent(client.address)[1]
        assert next(records(second))[13] == CLIENT_HELLO
        for _ in range(3):
            world.network.inject(client.address, SERVER, second)
            await sleep_ms(500)
        assert world.server.handshakes == 0 and world.server.transport.sessions[client.address] is other
        assert await exchange(client, session, world.server) is other


@simulated
async def test_a_hello_in_fragments_or_of_epoch_1_is_nothing():
    async with World() as world:
        body = hello_body()
        world.network.inject(ME, SERVER, record(HANDSHAKE, fragment(CLIENT_HELLO, 0, len(body), 0, body[:30])))
        world.network.inject(ME, SERVER, record(HANDSHAKE, fragment(CLIENT_HELLO, 0, len(body), 30, body[30:])))
        world.network.inject(ME, SERVER, record(HANDSHAKE, fragment(CLIENT_HELLO, 0, len(body), 0, body), 1))
        await settle()
        assert not world.network.sent(SERVER)


@simulated
async def test_a_hello_that_came_by_multicast_is_not_answered():
    async with World() as world:
        end = world.network.ends[SERVER]
        real = end.receive

        async def receive():
            data, source, _ = await real()
            return data, source, source == ME

        end.receive = receive
        await exchange(world.healthy, world.session, world.server)  # the next receive() is that one
        assert await ask(world, hello_body()) == []
        assert await ask(world, hello_body(), ("you", 1))


@simulated
async def test_a_hello_from_where_this_side_is_connecting_to_harms_it_not():
    network = Network()
    one = Peer(network, SERVER, server=True)
    forger = Forger(network, Credentials((PSK_CCM8,)), target=SERVER, name="two")

    def rule(source, target, data):
        first = next(records(data))
        if source == SERVER and first[0] == HANDSHAKE and first[13] == CLIENT_HELLO:
            return []  # the other side does not answer yet
        return [data]

    network.rule = rule
    connecting = create_task(one.connect(("two", 1), 3000))
    await settle()
    verify = fragment(VERIFY_REQUEST, 0, 7, 0, b"\xfe\xfd\4cook")
    network.inject(("two", 1), SERVER, record(HANDSHAKE, verify))  # now a message 1 is what it waits for
    await settle()
    going = create_task(forger.go())
    await settle()
    await settle()
    hellos = [next(records(data))[13] for data in network.sent(("two", 1))]
    assert hellos[:2] == [CLIENT_HELLO, CLIENT_HELLO], "it had a cookie"
    await sleep_ms(1500)
    assert one.handshakes == 1, "its own handshake waits on"
    with raises(OSError) as caught:
        await connecting
    assert caught.value.args[0] == 110, "and is not ended by the hello"
    assert await going is None and one.transport.sessions["two", 1].open, "then the other side's is taken"


@simulated
async def test_the_code_for_them_is_held_while_they_come_and_goes_a_second_after_the_last():
    """A flood has it loaded once."""
    entered = []
    kept = transport.phase

    class Phase(kept):
        def __enter__(self):
            entered.append(self._names[0])
            return super().__enter__()

    transport.phase = Phase
    try:
        async with World() as world:
            for turn in (1, 2):
                for _ in range(20):
                    await ask(world, hello_body())
                    await sleep_ms(200)
                assert entered.count("dtls.cookie") == turn and world.server.transport._hellos
                await sleep_ms(1200)
                assert world.server.transport._hellos is None
    finally:
        transport.phase = kept


@simulated
async def test_the_reserve_is_not_lent_to_a_handshake_that_there_is_no_memory_for():
    async with World() as world:
        cookie = await cookie_for(world)
        server, code = world.server.transport, world.server.transport._cookie
        kept = code.phase
        lent = reserve.lent

        class Loaded(kept):
            def __enter__(self):
                raise MemoryError

        def none(_name):
            raise MemoryError

        body = hello_body(cookie)
        try:
            for code.phase in (Loaded, none):
                with raises(MemoryError):
                    code.take(server, hello(body), ME)
                assert reserve.lent == lent and server.code is None
        finally:
            code.phase = kept
        assert len(await ask(world, body)) == 1, "the next one is answered"
