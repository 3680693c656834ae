"""Handshakes under way: their places, how long they may take, how a connection is given up, what failed ones leave."""

from asyncio import CancelledError, create_task

import dtls.handshake
from check import raises
from dtls import cookie
from dtls.alert import Alert
from dtls_forger import Forger, fragment, record
from dtls_rig import (
    CLIENT_KEY,
    HANDSHAKE,
    PSK_CCM8,
    SERVER,
    SERVER_HELLO,
    Credentials,
    Network,
    Peer,
    World,
    exchange,
    now,
    settle,
    simulated,
    since,
)
from port import heap_used, phase, reserve, sleep_ms


def by_key():
    return Credentials((PSK_CCM8,))


async def half(world, i, suite=PSK_CCM8):
    """A handshake that stops once the server waits for the client's key exchange; its address."""
    forger = Forger(world.network, Credentials((suite,)), name="half%d" % i)
    task = create_task(forger.go())
    world.network.rule = lambda source, target, data: (
        [] if source == SERVER and target[0][:4] == "half" and (data[13] == 2) else [data]
    )
    await settle()
    task.cancel()
    return forger.end.address


@simulated
async def test_there_are_three_places_for_handshakes_with_five_seconds_of_patience():
    async with World() as world:
        halves = []
        for i in range(3):
            halves.append(await half(world, i))
        assert world.server.handshakes == 3
        late = Peer(world.network, ("late", 1), by_key())
        task = create_task(late.connect())
        await sleep_ms(4500)
        assert world.server.handshakes == 3 and not late.transport.sessions
        assert sorted(world.server.transport.handshakes) == sorted(halves)
        session = await task  # when it asks again, after 7 s
        assert await exchange(late, session, world.server)
        assert halves[0] not in world.server.transport.handshakes, "the oldest has made place"
        assert world.server.handshakes == 2


@simulated
async def test_a_server_for_many_has_more_places():
    async with World() as world:
        world.server.transport.places = 12
        for i in range(11):
            await half(world, i)
        late = Peer(world.network, ("late", 1), by_key())
        began = now()
        session = await late.connect()
        assert since(began) < 100 and await exchange(late, session, world.server)
        assert world.server.handshakes == 11


@simulated
async def test_a_handshake_nobody_goes_on_with_is_repeated_and_then_given_up():
    async with World() as world:
        address = await half(world, 1)
        await sleep_ms(50_500)
        sent = [data for data in world.network.sent(SERVER, address) if data[13] == SERVER_HELLO]
        assert world.server.handshakes == 1 and len(sent) == 6
        await sleep_ms(1000)
        assert world.server.handshakes == 0
        count = len(world.network.log)
        await sleep_ms(60_000)
        assert len(world.network.log) == count


@simulated
async def test_a_handshake_that_is_kept_busy_ends_all_the_same():
    async with World() as world:
        address = await half(world, 1)
        old = record(HANDSHAKE, fragment(CLIENT_KEY, 0, 1, 0, b"x"))
        for _ in range(310):
            world.network.inject(address, SERVER, old)
            await sleep_ms(400)
        assert world.server.handshakes == 0


@simulated
async def test_a_server_that_is_not_there_is_given_up_in_time():
    network = Network()
    client = Peer(network, ("c", 1))
    for timeout, most in ((3000, 3000), (None, 20_000), (100_000, 51_500)):
        began = now()
        with raises(OSError) as caught:
            await (client.connect() if timeout is None else client.connect(timeout_ms=timeout))
        assert caught.value.args[0] == 110 and not isinstance(caught.value, Alert)
        assert most - 1500 <= since(began) <= most
        await settle()
        assert client.handshakes == 0
    count = len(network.log)
    await sleep_ms(100_000)
    assert len(network.log) == count, "nothing is sent any more"


@simulated
async def test_a_cancelled_connect_is_cancelled_and_leaves_nothing():
    network = Network()
    client = Peer(network, ("c", 1), by_key())
    for wait in (0, 1, 2500):
        task = create_task(client.connect())
        await sleep_ms(wait)
        task.cancel()
        with raises(CancelledError):
            await task
        await settle()
        assert client.handshakes == 0
    count = len(network.log)
    await sleep_ms(30_000)
    assert len(network.log) == count
    Peer(network, SERVER, server=True)
    assert (await client.connect()).open


@simulated
async def test_a_second_connect_ends_the_first():
    network = Network()
    client = Peer(network, ("c", 1), by_key())
    for wait in (0, 10):
        first = create_task(client.connect())
        await sleep_ms(wait)
        second = create_task(client.connect())
        await sleep_ms(10)
        with raises(OSError) as caught:
            await first
        assert caught.value.args[0] == 110
        assert client.handshakes == 1
    Peer(network, SERVER, server=True)
    assert (await second).open


@simulated
async def test_failed_handshakes_leave_no_tasks_and_no_memory():
    async with World() as world:
        client = Peer(world.network, ("c", 1), by_key())
        client.credentials.key = bytes(16)

        async def fail(count):
            for _ in range(count):
                with raises(Alert):
                    await client.connect()
                await half(world, 1)
                world.server.transport.end_handshake(("half1", 1))
                world.network.log.clear()
                world.server.credentials.asked.clear()
                client.credentials.hints.clear()
            await settle()
            return heap_used()

        before = await fail(5)
        after = await fail(40)
        assert after - before < 8000, after - before
        assert client.handshakes == world.server.handshakes == 0


@simulated
async def test_handshakes_that_there_is_no_memory_for_begin_when_there_is():
    """Also while this side is a client itself, so that there is a handshake already."""
    async with World() as world:
        own = create_task(world.server.connect(("nobody", 1), 2000))
        await settle()
        assert world.server.handshakes == 1
        lent, reserve.size = reserve.lent, 256
        reserve.take()
        tried = []

        class Short(phase):
            def __enter__(self):
                tried.append(reserve.lent)
                if len(tried) == 1:
                    raise MemoryError
                return super().__enter__()

        cookie.phase = Short
        try:
            client = Peer(world.network, ("c", 1), by_key())
            assert await exchange(client, await client.connect(), world.server)
            assert tried == [lent + 1] * 2
            with raises(OSError):
                await own
            await sleep_ms(1000)
            assert reserve.lent == lent and world.server.transport.code is None
        finally:
            cookie.phase = phase
            reserve.size = 0
            reserve.let_go()


@simulated
async def test_an_error_of_this_sides_ends_only_its_handshake():
    async with World() as world:
        printed = []
        real = dtls.handshake.print_exception
        dtls.handshake.print_exception = printed.append
        try:
            world.server.credentials.psk = lambda identity: 1 // 0
            client = Peer(world.network, ("c", 1), by_key())
            with raises(Alert) as caught:
                await client.connect()
            assert caught.value.code == 80 and isinstance(printed[0], ZeroDivisionError)
            del world.server.credentials.psk

            def none(identity):
                raise MemoryError

            world.server.credentials.psk = none
            with raises(OSError):
                await client.connect(timeout_ms=2000)
            assert world.server.handshakes == 0 and len(printed) == 1
            del world.server.credentials.psk

            def no_words(error):
                raise MemoryError

            dtls.handshake.print_exception = no_words
            world.server.credentials.psk = lambda identity: 1 // 0
            with raises(OSError):
                await client.connect(timeout_ms=2000)
            assert world.server.handshakes == 0
            del world.server.credentials.psk
        finally:
            dtls.handshake.print_exception = real


@simulated
async def test_what_is_closed_in_a_handshake_lends_nothing_any_more():
    lent = reserve.lent
    network = Network()
    server = Peer(network, SERVER, by_key(), True)
    client = Peer(network, ("c", 1), by_key())
    network.rule = lambda source, target, data: [] if data[13] == CLIENT_KEY else [data]
    task = create_task(client.connect(timeout_ms=1000))
    await settle()
    assert reserve.lent == lent + 1
    server.close()
    assert reserve.lent == lent
    with raises(OSError):
        await task
    client.close()
    await settle()
