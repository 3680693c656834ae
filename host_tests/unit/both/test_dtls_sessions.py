"""The life of sessions: begun anew, closed, given up, refused; the places for handshakes."""

from asyncio import CancelledError, create_task, gather

from check import raises
from dtls.alert import Alert
from dtls.handshake import Handshake
from dtls_forger import Forger
from dtls_rig import (
    ALERT,
    APPLICATION,
    CLIENT_KEY,
    ECDHE_PSK,
    HANDSHAKE,
    PSK_CCM8,
    SERVER,
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
from port import sleep_ms


def by_key():
    return Credentials((PSK_CCM8,))


@simulated
async def test_a_fresh_hello_leaves_the_old_session_until_the_new_one_is_complete():
    async with World() as world:
        client, session, other = await world.client()
        # Begun from the same address, up to the server's flight.
        task = create_task(client.connect())
        held = []

        def rule(source, target, data):
            if source == client.address and data[0] == HANDSHAKE and data[13] == CLIENT_KEY:
                held.append(data)
                return []
            return [data]

        world.network.rule = rule
        await settle()
        assert held and world.server.handshakes == 1
        assert await exchange(client, session, world.server) is other, "the old one serves"
        assert world.server.gone == []
        world.network.rule = None
        for data in held:
            world.network.inject(client.address, SERVER, data)
        new = await task
        assert new is not session and new.open and not session.open and not other.open
        assert world.server.gone == [other] and client.gone == [session]
        found = await exchange(client, new, world.server)
        assert found is not other and world.server.transport.sessions[client.address] is found
        assert world.server.credentials.log[-2:] == [("opened", found), ("closed", other)]


@simulated
async def test_who_gives_up_at_the_last_moment_has_no_session():
    """One that nobody was given would be taken for one that somebody has judged."""
    async with World() as world:
        client = Peer(world.network, ("client", 1), by_key())
        task = create_task(client.connect())

        def opened(_session):
            task.cancel()

        client.credentials.opened = opened
        found = []
        try:
            found.append(await task)  # CPython's wait_for prefers what it has
        except CancelledError:
            pass
        assert list(client.transport.sessions.values()) == found


@simulated
async def test_a_fresh_handshake_that_fails_leaves_the_old_session():
    async with World() as world:
        client, session, other = await world.client(credentials=by_key())
        client.credentials.key = bytes(16)  # not the server's
        with raises(Alert) as caught:
            await client.connect()
        assert caught.value.received and caught.value.code == 20
        assert await exchange(client, session, world.server) is other
        assert session.open and not client.gone and not world.server.gone


@simulated
async def test_a_client_that_has_lost_its_session_has_a_new_one_at_once():
    async with World() as world:
        client, session, other = await world.client()
        client.transport.sessions.clear()  # as after a reset
        began = now()
        new = await client.connect()
        assert since(began) < 100 and await exchange(client, new, world.server) is not other
        assert not other.open and len(world.server.transport.sessions) == 2
        assert not [data for data in world.network.sent(SERVER) if data[0] == ALERT], "it knows that itself"


@simulated
async def test_close_notify_is_answered_with_one():
    for closing in ("client", "server"):
        async with World() as world:
            client, session, other = await world.client()
            for _ in range(2):
                if closing == "client":
                    client.transport.drop(session)
                else:
                    world.server.transport.drop(other)
            assert not (session if closing == "client" else other).open, "at once"
            await sleep_ms(1000)
            assert not session.open and not other.open
            assert world.server.gone == [other] and client.gone == [session]
            assert ("closed", other) in world.server.credentials.log
            for source in (SERVER, client.address):
                target = client.address if source == SERVER else SERVER
                closes = [d for d in world.network.sent(source, target) if d[0] == ALERT]
                assert len(closes) == 1 and closes[0][3:5] == b"\0\1", "protected, and one only"
            assert client.address not in world.server.transport.sessions and not client.transport.sessions


@simulated
async def test_a_dropped_session_need_not_be_told():
    async with World() as world:
        client, session, other = await world.client()
        world.server.transport.drop(other, False)
        await settle()
        assert world.server.gone == [other] and session.open
        client.send(b"nobody hears that", session)
        await sleep_ms(500)
        assert not world.server.heard and not [d for d in world.network.sent(SERVER, client.address) if d[0] == ALERT]


@simulated
async def test_a_fatal_alert_ends_the_session_unanswered():
    async with World() as world:
        forger = Forger(world.network, by_key())
        assert await forger.go() is None
        other = world.server.transport.sessions[forger.end.address]
        forger.put(ALERT, b"\2\x50")
        await settle()
        assert not other.open and world.server.gone == [other] and forger.answers() == []
        forger.put(APPLICATION, b"late")
        await settle()
        assert not world.server.heard and forger.answers() == []


@simulated
async def test_nothing_is_sent_on_a_closed_session():
    async with World() as world:
        client, session, other = await world.client()
        client.transport.drop(session)
        await settle()
        count = len(world.network.log)
        client.send(b"late", session)
        world.server.send(b"late", other)
        client.transport.drop(session)
        await settle()
        assert len(world.network.log) == count
        assert client.transport.identity(session) is None and world.server.transport.identity(other) is None


@simulated
async def test_drop_all_and_close_tell_everybody():
    network = Network()
    server = Peer(network, SERVER, server=True)
    peers = [Peer(network, ("p%d" % i, 1), by_key()) for i in range(4)]
    sessions = await gather(*[peer.connect() for peer in peers[:3]])
    server.transport.drop_all()
    await settle()
    assert not server.transport.sessions and len(server.gone) == 3
    assert not any(session.open for session in sessions)
    session = await peers[0].connect()
    network.rule = lambda source, target, data: []
    connecting = create_task(peers[3].connect())
    await settle()
    network.rule = None
    server.task.cancel()
    server.transport.close()
    peers[3].task.cancel()
    peers[3].transport.close()
    await settle()
    assert network.ends[SERVER].closed and len(server.gone) == 4
    assert not session.open
    with raises(OSError):
        await connecting
    assert peers[3].handshakes == 0


@simulated
async def test_the_session_limit_gives_up_who_was_silent_for_longest():
    async with World(limit=4) as world:
        found = []
        for i in range(3):
            await sleep_ms(1000)
            found.append(await world.client("c%d" % i))
        await sleep_ms(1000)
        await exchange(world.healthy, world.session, world.server)
        await exchange(found[0][0], found[0][1], world.server)  # the second is the most silent
        newcomer, session, other = await world.client("new")
        assert [gone.address[0] for gone in world.server.gone] == ["c1"]
        await settle()
        assert not found[1][1].open, "it was told"
        assert len(world.server.transport.sessions) == 4
        for client, kept, _ in (found[0], found[2], (newcomer, session, other)):
            await exchange(client, kept, world.server)


@simulated
async def test_a_kept_session_is_never_given_up_for_another():
    async with World(limit=3) as world:
        world.server.credentials.keep = True
        kept = await world.client("kept")
        world.server.credentials.keep = False
        for i in range(3):
            await sleep_ms(1000)
            await exchange(world.healthy, world.session, world.server)
            await world.client("c%d" % i)
        assert kept[2].open and [gone.address[0] for gone in world.server.gone] == ["c0", "c1"]
        await exchange(kept[0], kept[1], world.server)


@simulated
async def test_where_all_are_kept_a_newcomer_is_refused():
    async with World(limit=2) as world:
        kept, kept_session, other = await world.client("kept")
        world.other.kept = other.kept = True
        log = list(world.server.credentials.log)
        newcomer = Peer(world.network, ("new", 1), by_key())
        with raises(Alert) as caught:
            await newcomer.connect()
        assert caught.value.received and caught.value.code == 80
        assert world.server.credentials.log == log and not newcomer.transport.sessions
        assert await exchange(kept, kept_session, world.server) is other
        world.other.kept = other.kept = False


@simulated
async def test_one_that_begins_anew_needs_no_second_place():
    async with World(limit=2) as world:
        client, session, other = await world.client()
        world.other.kept = other.kept = True
        new = await client.connect()
        assert await exchange(client, new, world.server) is not other
        world.other.kept = False


@simulated
async def test_a_session_that_must_not_be_is_refused_and_harms_nobody():
    """What `opened` says counts: the client is told at once, and nobody has made place for it."""
    for limit in (2, 6):
        async with World(limit=limit) as world:
            client, session, other = await world.client("there")
            world.server.credentials.admit = False
            refused = Peer(world.network, ("refused", 1), Credentials((ECDHE_PSK,)))
            began = now()
            with raises(Alert) as caught:
                await refused.connect()
            assert caught.value.received and caught.value.code == 49 and since(began) < 100
            assert (
                len(world.server.transport.sessions) == 2 and not world.server.gone and not refused.transport.sessions
            )
            opened = [one for what, one in world.server.credentials.log if what == "opened"]
            assert not opened[-1].open and ("closed", opened[-1]) not in world.server.credentials.log
            with raises(Alert):
                await client.connect()  # begun anew, and refused: the old one stays
            assert await exchange(client, session, world.server) is other
            for yes in (None, True):
                world.server.credentials.admit = yes
                await exchange(refused, await refused.connect(), world.server)
            if limit == 2:
                world.server.transport.drop(world.other)  # it had to go: a new one for the check
                world.session = await world.healthy.connect()
                world.other = await exchange(world.healthy, world.session, world.server)


def without_memory(*_):
    raise MemoryError


@simulated
async def test_a_session_whose_handshake_fails_at_the_very_end_is_closed_again():
    """Else the onboarding connection could be one that the client does not have."""
    finish = Handshake.finish
    async with World() as world:
        client = Peer(world.network, ("client", 1), by_key())
        Handshake.finish = lambda self, label: without_memory() if self.hello else finish(self, label)
        try:
            with raises(OSError):
                await client.connect()
        finally:
            Handshake.finish = finish
        (a, one), (b, other) = world.server.credentials.log[-2:]
        assert (a, b) == ("opened", "closed") and one is other and not one.open
        assert world.server.gone == [one] and client.address not in world.server.transport.sessions
        await exchange(client, await client.connect(), world.server)


@simulated
async def test_a_session_that_cannot_be_told_is_closed_all_the_same():
    async with World(limit=2) as world:
        client, session, other = await world.client()
        await sleep_ms(1000)
        await exchange(world.healthy, world.session, world.server)
        other.seal = without_memory
        newcomer, new, _ = await world.client("new")
        assert world.server.gone == [other] and not other.open
        await exchange(newcomer, new, world.server)


@simulated
async def test_what_goes_wrong_for_one_silent_session_does_not_keep_the_others():
    async with World() as world:
        _, _, first = await world.client("c0")
        _, _, second = await world.client("c1")
        world.network.rule = lambda source, target, data: [] if source[0][0] == "c" else [data]
        closed = world.server.transport.closed
        world.server.transport.closed = lambda session: [][0]
        for _ in range(11):
            await sleep_ms(58_000)
            await exchange(world.healthy, world.session, world.server)
        world.server.transport.closed = closed
        assert not first.open and not second.open


@simulated
async def test_a_client_that_refuses_says_so_under_its_new_keys():
    async with World() as world:
        client = Peer(world.network, ("client", 1), by_key())
        client.credentials.admit = False
        with raises(Alert) as caught:
            await client.connect()
        assert caught.value.code == 49 and not caught.value.received
        await settle()
        last = world.network.sent(client.address)[-1]
        assert last[0] == ALERT and last[3:5] == b"\0\1"
        assert client.address not in world.server.transport.sessions and not client.transport.sessions


@simulated
async def test_of_two_handshakes_for_one_place_the_first_has_it():
    """As for the onboarding session: both have begun before either was there."""
    async with World() as world:
        credentials = world.server.credentials
        credentials.opened = lambda session: len(world.server.transport.sessions) < 2
        peers = [Peer(world.network, ("p%d" % i, 1), by_key()) for i in range(2)]
        tasks = [create_task(peer.connect()) for peer in peers]
        ends = []
        for task in tasks:
            try:
                ends.append(await task)
            except Alert as error:
                ends.append(error.code)
        assert ends[1] == 49 and await exchange(peers[0], ends[0], world.server)
        del credentials.opened


@simulated
async def test_silent_sessions_are_swept_and_heard_ones_are_not():
    async with World() as world:
        client, session, other = await world.client()
        kept, kept_session, kept_other = await world.client("kept")
        kept_other.kept = True
        for _ in range(10):
            await sleep_ms(58_000)
            await exchange(world.healthy, world.session, world.server)
        assert other.open and not kept_other.open and not kept_session.open, (
            "who keeps others out goes after two minutes"
        )
        await sleep_ms(30_000)
        await exchange(world.healthy, world.session, world.server)
        assert not other.open and not session.open, "and everybody after ten"
        assert world.server.gone == [kept_other, other]
