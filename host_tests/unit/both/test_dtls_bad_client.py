"""Clients that say the wrong thing: refused with the alert that fits, at once, and nobody else notices."""

from asyncio import create_task

from crypto import p256
from dtls.record import records
from dtls_forger import Forger, alerts, fragment, record, refused
from dtls_rig import (
    ANON,
    APPLICATION,
    CERT_CCM,
    CERT_CCM8,
    CERTIFICATE,
    CLIENT_KEY,
    DONE,
    ECDHE_PSK,
    FINISHED,
    HANDSHAKE,
    HELLO_REQUEST,
    OTHER,
    PSK_CCM8,
    SERVER,
    VERIFY,
    Credentials,
    World,
    now,
    settle,
    simulated,
    since,
)
from port import sleep_ms, urandom

UNEXPECTED, BAD_MAC, FAILURE, BAD_CERTIFICATE, ILLEGAL, DECODE, DECRYPT, UNKNOWN = 10, 20, 40, 42, 47, 50, 51, 115


async def each(suite, code, changes, pair=OTHER):
    """A handshake for each of `changes` (as `alter`), and the server must answer it with `code`."""
    async with World() as world:
        for change in changes:
            world.network.log.clear()
            forger = Forger(world.network, Credentials((suite,), pair), change)
            await refused(forger, code)
            assert alerts(world.network.sent(SERVER, forger.end.address)) == [(2, code)]
            assert world.server.handshakes == 0 and len(world.server.transport.sessions) == 1


def sends(kind, *bodies):
    return [{kind: lambda _body, body=body: body} for body in bodies]


def point_vector(point):
    return bytes((len(point),)) + point


@simulated
async def test_points_that_are_none_of_the_curve():
    public = OTHER[1]
    off = public[:63] + bytes((public[63] ^ 1,))
    zero = bytes(64)
    large = p256.P.to_bytes(32, "big") + public[32:]
    ones = b"\xff" * 64
    await each(ANON, ILLEGAL, sends(CLIENT_KEY, *(point_vector(b"\4" + p) for p in (off, zero, large, ones))))


@simulated
async def test_points_in_other_forms():
    public = OTHER[1]
    bodies = [
        point_vector(b"\2" + public[:32]),  # compressed
        point_vector(b"\0"),  # infinity
        point_vector(b""),
        point_vector(b"\4" + public[:63]),
        point_vector(b"\4" + public + b"\0"),
        point_vector(b"\6" + public),  # hybrid
        point_vector(b"\4" + public) + b"\0",  # bytes behind it
        b"\x41\4" + public[:63],  # shorter than it says
        b"",
    ]
    await each(ANON, DECODE, sends(CLIENT_KEY, *bodies))


@simulated
async def test_points_beside_a_pre_shared_key():
    identity = b"\0\6client"
    public = OTHER[1]
    off = public[:63] + bytes((public[63] ^ 1,))
    await each(ECDHE_PSK, ILLEGAL, sends(CLIENT_KEY, identity + point_vector(b"\4" + off)))
    bodies = identity, identity + b"\0", identity + point_vector(b"\4" + public) + b"\0", b"\0\7client", b"\0", b""
    await each(ECDHE_PSK, DECODE, sends(CLIENT_KEY, *bodies))


@simulated
async def test_unknown_identities():
    names = b"nobody", b"", b"x" * 200, b"y" * 1000, b"\0client", b"client\0", b"CLIENT"
    for suite in (PSK_CCM8, ECDHE_PSK):
        point = point_vector(b"\4" + OTHER[1]) if suite == ECDHE_PSK else b""
        await each(suite, UNKNOWN, sends(CLIENT_KEY, *(len(n).to_bytes(2, "big") + n + point for n in names)))


@simulated
async def test_a_wrong_key_is_refused_with_the_second_finished():
    """The first that cannot be read may have changed under way, or be of a handshake before."""
    for suite in (PSK_CCM8, ECDHE_PSK):
        async with World() as world:
            for key in (bytes(16), urandom(16), urandom(32)):
                forger = Forger(world.network, Credentials((suite,), psk=key))
                await refused(forger, BAD_MAC, 1100)  # when the client sends its flight again
                assert world.server.handshakes == 0


@simulated
async def test_a_wrong_finished():
    bodies = bytes(12), bytes(11), bytes(13), b"", urandom(12)
    for suite in (ANON, PSK_CCM8, CERT_CCM):
        await each(suite, DECRYPT, sends(FINISHED, *bodies))


@simulated
async def test_another_transcript_makes_another_finished():
    """What the client remembers to have said is not what the server has heard."""
    async with World() as world:
        for body in (b"", bytes(40)):

            def other(handshake, body=body):
                handshake._hash(CLIENT_KEY, 2, body)

            forger = Forger(world.network, Credentials((PSK_CCM8,)), after=CLIENT_KEY, more=other)
            forger.extended = False
            error = await forger.go()
            assert error.received and error.code in (BAD_MAC, DECRYPT)


@simulated
async def test_messages_that_are_missing():
    for suite, kinds in ((ANON, (CLIENT_KEY,)), (CERT_CCM8, (CERTIFICATE, CLIENT_KEY, VERIFY))):
        async with World() as world:
            for missing in kinds:
                forger = Forger(world.network, Credentials((suite,), OTHER), {missing: lambda body: None})
                error = await forger.go()
                # Where the Client's key is missing Finished comes under no keys at all.
                if error.args[0] == 110:
                    assert suite == ANON and missing == CLIENT_KEY
                else:
                    assert error.received and error.code == UNEXPECTED, (missing, error)
                assert forger.end.address not in world.server.transport.sessions


@simulated
async def test_a_handshake_without_finished_is_none():
    async with World() as world:
        forger = Forger(world.network, Credentials((ANON,)), {FINISHED: lambda body: None})
        task = create_task(forger.go())
        await settle()
        for content, data in ((APPLICATION, b"let me in"), (HANDSHAKE, fragment(CLIENT_KEY, 3, 1, 0, b"x"))):
            forger.put(content, data)
        await sleep_ms(5000)
        assert not world.server.heard and forger.end.address not in world.server.transport.sessions
        await task


@simulated
async def test_messages_that_come_twice_or_are_not_expected():
    bodies = {CLIENT_KEY: point_vector(b"\4" + OTHER[1]), CERTIFICATE: b"\0\0\0", VERIFY: b"\4\3\0\0", DONE: b""}
    bodies.update({HELLO_REQUEST: b"", 99: b"?", 255: b""})
    for suite, after in ((ANON, CLIENT_KEY), (CERT_CCM8, CLIENT_KEY), (CERT_CCM8, CERTIFICATE), (CERT_CCM8, VERIFY)):
        async with World() as world:
            for kind, body in bodies.items():
                if suite == CERT_CCM8 and (after, kind) in ((CLIENT_KEY, VERIFY), (CERTIFICATE, CLIENT_KEY)):
                    continue  # that is in its place, and wrong: see below
                done = []

                def more(handshake, kind=kind, body=body, done=done):
                    if not done:
                        done.append(1)
                        handshake.add(kind, body)

                forger = Forger(world.network, Credentials((suite,), OTHER), after=after, more=more)
                await refused(forger, UNEXPECTED)


@simulated
async def test_protected_data_before_finished_is_not_heard():
    async with World() as world:

        def rule(source, target, data):
            if source != SERVER and data[0] == HANDSHAKE and data[13] == CLIENT_KEY and source[0] == "forger":
                first = next(records(data))
                return [bytes(first)]
            return [data]

        world.network.rule = rule
        forger = Forger(
            world.network,
            Credentials((ANON,)),
            after=FINISHED,
            more=lambda handshake: handshake.put(APPLICATION, b"before the client's key"),
        )
        task = create_task(forger.go())
        await settle()
        forger.put(APPLICATION, b"before Finished")
        await settle()
        assert not world.server.heard and world.server.handshakes == 1
        world.network.rule = None
        await sleep_ms(1100)
        assert await task is None
        assert not world.server.heard
        forger.put(APPLICATION, b"after")
        await settle()
        assert [data for data, _ in world.server.heard] == [b"after"]


@simulated
async def test_a_forged_protected_record_ends_a_handshake_only_before_a_good_one():
    """The second Finished that does not open means other keys. Once one has opened, the keys are right."""
    for heard in (False, True):
        async with World() as world:
            forger = Forger(world.network, Credentials((ANON,)), {FINISHED: lambda body: None})
            task = create_task(forger.go())
            await settle()
            if heard:
                forger.put(APPLICATION, b"authentic")
                await settle()
            for bad in range(2):
                assert world.server.handshakes == 1
                world.network.inject(forger.end.address, SERVER, record(HANDSHAKE, urandom(80), 1, 9 + bad))
                await settle()
            assert world.server.handshakes == (1 if heard else 0)
            world.network.inject(forger.end.address, SERVER, record(APPLICATION, urandom(80), 1, 11))
            await settle()
            assert world.server.handshakes == (1 if heard else 0)
            task.cancel()


@simulated
async def test_alerts_end_a_handshake_warnings_do_not():
    async with World() as world:
        for data, goes_on in ((b"\1\x5a", True), (b"\2", True), (b"", True), (b"\2\x28", False), (b"\1\0", False)):
            silent = {CLIENT_KEY: lambda body: None, FINISHED: lambda body: None}
            forger = Forger(world.network, Credentials((ANON,)), silent, "f%r" % data)
            task = create_task(forger.go())
            await settle()
            forger.put(21, data, 0)
            await settle()
            assert world.server.handshakes == (1 if goes_on else 0), data
            task.cancel()
            world.server.transport.end_handshake(forger.end.address)


@simulated
async def test_certificates_that_are_none():
    chain = b"\0\1\xd0" + OTHER[1] + bytes(400)

    def listed(*certificates):
        data = b"".join(certificates)
        return len(data).to_bytes(3, "big") + data

    await each(
        CERT_CCM8, BAD_CERTIFICATE, sends(CERTIFICATE, listed(b"\0\0\3abc"), listed(*[chain] * 5), listed(b"\0\0\0"))
    )
    bodies = b"", b"\0", b"\0\0\1", listed(chain) + b"\0", listed(chain[:-1]), listed(b"\xff\xff\xff"), listed(b"\0\0")
    await each(CERT_CCM8, DECODE, sends(CERTIFICATE, *bodies))


@simulated
async def test_a_client_without_a_certificate_may_be_refused():
    async with World() as world:

        async def trust(chain):
            raise ValueError("everybody needs one")

        world.server.credentials.trust = trust
        credentials = Credentials((CERT_CCM8,))
        credentials.own = None
        await refused(Forger(world.network, credentials), FAILURE)
        await refused(Forger(world.network, Credentials((CERT_CCM8,), OTHER)), BAD_CERTIFICATE)
        del world.server.credentials.trust


@simulated
async def test_certificate_verify_by_another_key_or_over_something_else():
    stranger = p256.key_pair(urandom)
    async with World() as world:
        credentials = Credentials((CERT_CCM8,), OTHER)
        credentials.own = credentials.own[0], stranger[0]
        await refused(Forger(world.network, credentials), DECRYPT)
        # A good signature, over another transcript: one of an earlier handshake.
        kept = []

        def keep(body):
            kept.append(body)
            return body

        forger = Forger(world.network, Credentials((CERT_CCM8,), OTHER), {VERIFY: keep})
        assert await forger.go() is None
        await refused(Forger(world.network, Credentials((CERT_CCM8,), OTHER), {VERIFY: lambda body: kept[0]}), DECRYPT)
        # The certificate of one, the key of another: a certificate alone proves nothing.
        thief = Forger(world.network, Credentials((CERT_CCM8,), stranger))
        thief.credentials.own = Credentials(pair=OTHER).own[0], stranger[0]
        await refused(thief, DECRYPT)


@simulated
async def test_certificate_verify_in_other_forms():
    def algorithm(*code):
        return {VERIFY: lambda body: bytes(code) + body[2:]}

    others = [algorithm(5, 3), algorithm(2, 3), algorithm(4, 1), algorithm(0, 0)]
    await each(CERT_CCM8, FAILURE, others)
    cuts = [
        {VERIFY: lambda body: body + b"\0"},
        {VERIFY: lambda body: body[:-1]},
        {VERIFY: lambda body: body[:2]},
        {VERIFY: lambda body: b""},
        {VERIFY: lambda body: b"\4\3\0\0"},
        {VERIFY: lambda body: b"\4\3\0\4\x30\2\2\0"},
    ]
    await each(CERT_CCM8, DECODE, cuts)
    zero = b"\x30\6\2\1\0\2\1\0"
    one = b"\x30\6\2\1\1\2\1\1"
    await each(CERT_CCM8, DECRYPT, sends(VERIFY, b"\4\3\0\x08" + one, b"\4\3\0\x08" + zero)[:1])


@simulated
async def test_three_bad_clients_at_a_time_and_a_good_one_is_served():
    async with World() as world:
        forgers = [Forger(world.network, Credentials((PSK_CCM8,), psk=bytes(16)), name="f%d" % i) for i in range(3)]
        tasks = [create_task(forger.go()) for forger in forgers]
        began = now()
        _, session, _ = await world.client("good", Credentials((PSK_CCM8,)))
        assert since(began) < 3100 and session.open  # theirs end a second after they began
        for task in tasks:
            assert (await task).code == BAD_MAC
