"""Handshakes that go well: every suite, who agrees on what, many peers on one socket, both master secrets."""

from asyncio import gather
from hashlib import sha256

from check import raises
from crypto import curve, p256
from crypto.prf import prf
from dtls.alert import Alert
from dtls.record import records
from dtls_forger import ForgedServer, Forger, alerts
from dtls_rig import (
    ANON,
    APPLICATION,
    CERT_CCM,
    CERT_CCM8,
    CLIENT_HELLO,
    ECDHE_PSK,
    KEYS,
    OTHER,
    PSK,
    PSK_CCM8,
    SERVER,
    SUITES,
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
from port import reserve, sleep_ms, urandom


async def of_suite(suite):
    """One handshake; (the client's session, the server's, (hints and chains the client saw, identities and chains))."""
    world = World()
    served = world.server.credentials
    async with world:
        client, session, other = await world.client(credentials=Credentials((suite,), OTHER))
        assert session.suite == other.suite == suite
        assert session.open and other.open and session.address == SERVER and other.address == client.address
        assert len(session.master) == 48 and session.master == other.master
        assert len(session.randoms) == 64 and session.randoms == other.randoms
        assert session.block == other.block == (40 if suite in (PSK_CCM8, CERT_CCM8, CERT_CCM) else 96)
        assert await exchange(client, session, world.server) is other
        assert ("opened", session) in client.credentials.log
        assert ("opened", other) in served.log
        client.send(b"secret of the client", session)
        assert not any(b"secret" in data for data in world.network.sent(client.address))
        assert client.transport.secure and client.transport.identity(session) == session.uuid
        assert world.server.transport.identity(other) == other.uuid
        seen = tuple(
            list(c) for c in (client.credentials.hints, client.credentials.chains, served.asked, served.chains)
        )
        return session, other, seen


@simulated
async def test_ecdh_anon_knows_nobody():
    session, other, (hints, chains, asked, shown) = await of_suite(ANON)
    assert session.uuid is None and other.uuid is None
    assert hints == chains == asked == shown == []


@simulated
async def test_ecdhe_psk_knows_both_by_key():
    session, other, (hints, chains, asked, shown) = await of_suite(ECDHE_PSK)
    assert session.uuid == "server" and other.uuid == "client"


@simulated
async def test_psk_finds_keys_by_hint_and_identity():
    session, other, (hints, chains, asked, shown) = await of_suite(PSK_CCM8)
    assert session.uuid == "server" and other.uuid == "client"
    assert hints == [(b"hint of the server", SERVER)] and asked == [b"client"]
    assert chains == shown == []


@simulated
async def test_certificates_with_ccm_8_know_both_by_certificate():
    session, other, (hints, chains, asked, shown) = await of_suite(CERT_CCM8)
    assert session.uuid == other.uuid == "uuid of 464"
    assert chains == [[KEYS[1] + bytes(400)]] and shown == [[OTHER[1] + bytes(400)]]


@simulated
async def test_certificates_with_ccm_know_both_by_certificate():
    session, other, (hints, chains, asked, shown) = await of_suite(CERT_CCM)
    assert session.uuid == other.uuid == "uuid of 464"


@simulated
async def test_authenticators_have_the_length_of_the_suite():
    for suite, more in ((CERT_CCM8, 16), (CERT_CCM, 24), (PSK_CCM8, 16)):
        network = Network()
        Peer(network, SERVER, server=True)
        client = Peer(network, ("c", 1), Credentials((suite,)))
        session = await client.connect()
        client.send(bytes(100), session)
        data = network.sent(client.address)[-1]
        assert data[0] == APPLICATION and len(data) == 13 + 100 + more


@simulated
async def test_a_handshake_takes_no_longer_than_its_round_trips():
    async with World() as world:
        began = now()
        await world.client()
        assert since(began) < 10 and len(world.network.sent(("client", 1))) == 3


@simulated
async def test_long_chains_go_in_fragments_and_small_datagrams():
    async with World() as world:
        world.server.credentials.own = (
            [world.server.credentials.pair[1] + bytes(1800), bytes(900), bytes(900)],
            (world.server.credentials.pair[0]),
        )
        credentials = Credentials((CERT_CCM8,), OTHER)
        credentials.own = [OTHER[1] + bytes(2500), bytes(1000)], OTHER[0]
        client, session, _ = await world.client(credentials=credentials)
        assert await exchange(client, session, world.server)
        assert credentials.chains == [world.server.credentials.own[0]]
        assert max(len(data) for _, _, data in world.network.log) <= 1200
        assert len(world.network.sent(SERVER, client.address)) >= 5


@simulated
async def test_a_client_without_a_certificate_may_be_let_in():
    async with World() as world:
        credentials = Credentials((CERT_CCM8,), OTHER)
        credentials.own = None
        client, session, other = await world.client(credentials=credentials)
        assert world.server.credentials.chains == [[]] and other.uuid is None and session.uuid == "uuid of 464"
        assert await exchange(client, session, world.server) is other


@simulated
async def test_extended_master_secret_is_of_the_whole_handshake_and_the_older_one_of_the_randoms():
    """A ClientHello without the extension is answered in the older way. Both are calculated here once more."""
    premaster = b"\0\x10" + bytes(16) + b"\0\x10" + PSK
    for extended in (True, False):
        async with World() as world:
            alter = None if extended else {CLIENT_HELLO: without_extended}
            forger = Forger(world.network, Credentials((PSK_CCM8,)), alter)
            assert await forger.go() is None
            assert forger.extended == extended
            other = world.server.transport.sessions[forger.end.address]
            if extended:
                before_finished = bytes(forger.transcript)[: -2 * 24]
                master = prf(premaster, b"extended master secret", sha256(before_finished).digest(), 48)
            else:
                master = prf(premaster, b"master secret", other.randoms[32:] + other.randoms[:32], 48)
            assert other.master == forger.session.master == master
            forger.put(APPLICATION, b"hello")
            await settle()
            assert world.server.heard == [(b"hello", other)]
            flight = b"".join(world.network.sent(SERVER, forger.end.address))
            assert (b"\0\x17\0\0" in flight) == extended


def without_extended(body):
    """A ClientHello's body without its last extension, the extended master secret."""
    at = 35
    at += 1 + body[at]
    at += 2 + (body[at] << 8 | body[at + 1])
    at += 1 + body[at]
    assert body[-4:] == b"\0\x17\0\0"
    return body[:at] + (len(body) - at - 6).to_bytes(2, "big") + body[at + 2 : -4]


@simulated
async def test_a_client_takes_a_server_without_the_extended_master_secret():
    network = Network()
    server = ForgedServer(network)
    server.handshake = None
    client = Peer(network, ("c", 1), Credentials((PSK_CCM8,)))
    server.alter = {2: lambda body: body[:38] + b"\0\5\xff\1\0\1\0"}

    def older(handshake):
        handshake.extended = False

    server.after, server.more = 2, older
    session = await client.connect()
    assert server.handshake.session.master == session.master and server.error is None


@simulated
async def test_the_servers_order_decides_and_both_sides_list_what_they_can():
    async with World() as world:
        for mine, theirs, chosen in (
            ((ANON, ECDHE_PSK, PSK_CCM8), SUITES, ANON),
            (SUITES, (PSK_CCM8, ANON), PSK_CCM8),
            ((CERT_CCM, CERT_CCM8), (CERT_CCM8, CERT_CCM), CERT_CCM8),
            ((ECDHE_PSK,), SUITES, ECDHE_PSK),
        ):
            world.server.credentials.allowed = theirs
            peer = Peer(world.network, ("c%d" % chosen, len(mine)), Credentials(mine, OTHER))
            session = await peer.connect()
            assert session.suite == chosen
            hello = world.network.sent(peer.address)[0]
            assert offered(hello) == mine + (0x00FF,)


def offered(datagram):
    """The suites of a first ClientHello."""
    hello = next(records(datagram))[25:]
    at = 36
    size = hello[at] << 8 | hello[at + 1]
    return tuple(hello[i] << 8 | hello[i + 1] for i in range(at + 2, at + 2 + size, 2))


@simulated
async def test_nothing_in_common_is_a_handshake_failure():
    async with World() as world:
        world.server.credentials.allowed = (ANON, CERT_CCM8)
        for mine in ((ECDHE_PSK,), (PSK_CCM8, CERT_CCM)):
            with raises(Alert) as caught:
                await world.client(credentials=Credentials(mine))
            assert caught.value.received and caught.value.code == 40


@simulated
async def test_without_suites_nothing_at_all_is_answered():
    async with World() as world:
        world.server.credentials.allowed = ()
        peer = Peer(world.network, ("c", 1))
        with raises(OSError) as caught:
            await peer.connect(timeout_ms=9000)
        assert not isinstance(caught.value, Alert)
        assert len(world.network.sent(("c", 1))) > 2 and not world.network.sent(SERVER)


@simulated
async def test_a_transport_that_is_no_server_answers_no_hello():
    network = Network()
    Peer(network, SERVER, server=False)
    with raises(OSError):
        await Peer(network, ("c", 1)).connect(timeout_ms=5000)
    assert not network.sent(SERVER)


@simulated
async def test_every_identity_finds_its_own_key():
    async with World(limit=12) as world:
        known = world.server.credentials.known
        for name in ("a", "b" * 127, "c" * 300):
            key = urandom(16 if name != "b" * 127 else 64)
            known[name.encode()] = key, "uuid " + name[:1]
            for suite in (PSK_CCM8, ECDHE_PSK):
                peer = Peer(world.network, (name, suite), Credentials((suite,), name=name, psk=key))
                session = await peer.connect()
                other = await exchange(peer, session, world.server)
                assert other.uuid == "uuid " + name[:1]


@simulated
async def test_no_hint_is_a_hint_of_no_bytes():
    async with World() as world:
        world.server.credentials.hint = lambda: b""
        client, session, _ = await world.client(credentials=Credentials((PSK_CCM8,)))
        assert client.credentials.hints == [(b"", SERVER)]


@simulated
async def test_a_client_that_knows_no_key_for_the_hint_says_so():
    async with World() as world:
        credentials = Credentials((PSK_CCM8,))
        credentials.key = None
        with raises(Alert) as caught:
            await world.client(credentials=credentials)
        assert caught.value.code == 115 and not caught.value.received
        await settle()
        assert world.server.handshakes == 0
        assert alerts(world.network.sent(("client", 1))) == [(2, 115)]


@simulated
async def test_many_peers_on_one_socket_do_not_mix():
    async with World(limit=20, growth=150_000) as world:
        peers = []
        for i in range(12):
            peer = Peer(world.network, ("p%d" % i, 1), Credentials((SUITES[i % 3],)))
            peers.append((peer, await peer.connect()))
        assert len(world.server.transport.sessions) == 13
        for i, (peer, session) in enumerate(peers):
            peer.send(b"from %d" % i, session)
        await settle()
        assert sorted(data for data, _ in world.server.heard) == sorted(b"from %d" % i for i in range(12))
        for data, session in list(world.server.heard):
            assert session.address == ("p%d" % int(data[5:].decode()), 1)
            world.server.send(b"to " + data[5:], session)
        await settle()
        for i, (peer, _) in enumerate(peers):
            assert [data for data, _ in peer.heard] == [b"to %d" % i]
        assert len({session.master for _, session in peers}) == 12


@simulated
async def test_handshakes_at_the_same_time_do_not_mix():
    async with World() as world:
        peers = [Peer(world.network, ("p%d" % i, 1), Credentials((ECDHE_PSK,))) for i in range(3)]
        sessions = await gather(*[peer.connect() for peer in peers])
        for peer, session in zip(peers, sessions):  # noqa: B905
            assert await exchange(peer, session, world.server)


@simulated
async def test_one_transport_is_client_and_server():
    network = Network()
    one = Peer(network, ("one", 1), server=True)
    two = Peer(network, ("two", 1), server=True)
    three = Peer(network, ("three", 1), Credentials((PSK_CCM8,)))
    session = await one.connect(("two", 1))
    await exchange(one, session, two)
    other = await three.connect(("one", 1))
    await exchange(three, other, one)
    await exchange(one, session, two)


@simulated
async def test_data_of_all_sizes_arrives_whole():
    async with World() as world:
        for suite in (PSK_CCM8, ECDHE_PSK, CERT_CCM):
            peer = Peer(world.network, ("s", suite), Credentials((suite,), OTHER))
            session = await peer.connect()
            for size in (0, 1, 14, 15, 16, 17, 31, 32, 33, 1100):
                data = urandom(size)
                world.server.heard.clear()
                peer.send(memoryview(data), session)
                await settle()
                assert [bytes(d) for d, _ in world.server.heard] == [data], (suite, size)


@simulated
async def test_an_ephemeral_key_is_used_once_and_made_ahead():
    reserve.lent = (
        0  # a handshake of another test that was left in the middle has not given it back: no key is made then
    )
    network = Network()
    server = Peer(network, SERVER, server=True)
    publics = []
    for i in range(3):
        await sleep_ms(300)
        assert server.transport._key, "none was made ahead"
        peer = Peer(network, ("c%d" % i, 1), Credentials((ANON,)))
        await peer.connect()
        flight = b"".join(network.sent(SERVER, peer.address))
        at = flight.index(b"\3\0\x17\x41\4")
        publics.append(flight[at + 5 : at + 69])
    assert len(set(publics)) == 3
    assert all(curve.on_curve(p256.number(p[:32]), p256.number(p[32:])) for p in publics)


@simulated
async def test_the_end_of_a_handshake_that_was_lost_is_sent_again():
    async with World() as world:
        lost = []

        def rule(source, _target, data):
            if source == SERVER and data[0] == 20 and not lost:
                lost.append(data)
                return []
            return [data]

        world.network.rule = rule
        client, session, other = await world.client()
        assert lost and await exchange(client, session, world.server) is other
        count = len(world.network.sent(SERVER, client.address))
        world.network.inject(client.address, SERVER, world.network.sent(client.address)[2])
        await sleep_ms(1000)
        assert len(world.network.sent(SERVER, client.address)) == count, "the client was heard: it has the end"


@simulated
async def test_no_record_number_is_used_twice_whatever_is_sent_again():
    """Under one key a number must not come back; in the clear, a repeated flight is told from a replayed one."""
    async with World() as world:
        seen = []

        def rule(source, _target, data):
            """The first of a kind is lost, so that every flight is sent again."""
            kind = source, data[0], data[13]
            if kind in seen:
                return [data]
            seen.append(kind)
            return []

        for suite in (ECDHE_PSK, CERT_CCM8):
            seen.clear()
            world.network.log.clear()
            world.network.rule = rule
            client = Peer(world.network, ("lossy", suite), Credentials((suite,), OTHER))
            session = await client.connect(timeout_ms=60_000)
            world.network.rule = None
            client.send(b"x", session)
            await settle()
            for source in (client.address, SERVER):
                numbers = [bytes(r[3:11]) for data in world.network.sent(source) for r in records(data)]
                assert len(numbers) > 8 and len(set(numbers)) == len(numbers)
                assert sum(1 for n in numbers if n[1] == 1) > 1, "Finished was not sent again"
