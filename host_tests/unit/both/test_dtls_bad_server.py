"""Servers that say the wrong thing: the client refuses with the alert that fits, at once, in bounded memory and time.

The client is the World's server, which serves others all the while.
"""

from asyncio import create_task

from check import raises
from crypto import p256
from dtls.alert import Alert
from dtls.record import records
from dtls_forger import ForgedServer, alerts, fragment, record
from dtls_rig import (
    ALERT,
    ANON,
    APPLICATION,
    CCS,
    CERT_CCM8,
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CLIENT_HELLO,
    CLIENT_KEY,
    DONE,
    ECDHE_PSK,
    FINISHED,
    HANDSHAKE,
    HELLO_REQUEST,
    KEYS,
    PSK_CCM8,
    SERVER,
    SERVER_HELLO,
    SERVER_KEY,
    VERIFY_REQUEST,
    Credentials,
    End,
    World,
    now,
    settle,
    simulated,
    since,
)
from port import sleep_ms, urandom

UNEXPECTED, BAD_MAC, FAILURE, BAD_CERTIFICATE, ILLEGAL, DECODE, DECRYPT = 10, 20, 40, 42, 47, 50, 51
UNSUPPORTED = 110
LIAR = ("liar", 1)


async def refuses(world, code, suite, alter=None, within=100, **more):
    """The World's server, as the client, must refuse that server with the alert `code`, `within` ms; that server."""
    server = ForgedServer(world.network, alter, Credentials((suite,)), LIAR, **more)
    allowed, world.server.credentials.allowed = world.server.credentials.allowed, (suite,)
    world.network.log.clear()
    began = now()
    with raises(Alert) as caught:
        await world.server.connect(LIAR)
    world.server.credentials.allowed = allowed
    assert not caught.value.received and caught.value.code == code, caught.value
    assert since(began) < within
    assert alerts(world.network.sent(SERVER, LIAR)) == [(2, code)]
    assert world.server.handshakes == 0 and LIAR not in world.server.transport.sessions
    server.task.cancel()
    await settle()
    return server


async def each(suite, code, changes, **more):
    async with World() as world:
        for change in changes:
            await refuses(world, code, suite, change, **more)


def sends(kind, *bodies):
    return [{kind: lambda _body, body=body: body} for body in bodies]


def alters(kind, *functions):
    return [{kind: function} for function in functions]


def extended(*extensions):
    """A ServerHello with these extensions instead."""

    def change(body):
        data = b"".join(n.to_bytes(2, "big") + len(d).to_bytes(2, "big") + d for n, d in extensions)
        return body[:38] + len(data).to_bytes(2, "big") + data

    return change


@simulated
async def test_what_was_not_offered():
    await each(
        ANON,
        ILLEGAL,
        alters(
            SERVER_HELLO,
            lambda body: body[:35] + b"\xc0\x37" + body[37:],  # a suite that is known, and was not offered
            lambda body: body[:35] + b"\x00\x2f" + body[37:],
            lambda body: body[:35] + b"\x00\xff" + body[37:],
            lambda body: body[:35] + b"\x00\x00" + body[37:],
            lambda body: body[:37] + b"\1" + body[38:],  # compression
            lambda body: b"\xfe\xff" + body[2:],  # version 1.0
            lambda body: b"\xfe\xfc" + body[2:],
            lambda body: b"\3\3" + body[2:],
        ),
    )
    await each(ANON, UNSUPPORTED, alters(SERVER_HELLO, *(extended((n, b"")) for n in (0, 1, 10, 13, 22, 35, 0x1234))))


@simulated
async def test_extensions_that_are_wrong():
    await each(ANON, DECODE, alters(SERVER_HELLO, extended((23, b""), (23, b"")), lambda body: body + b"\0"))
    # An answer about a renegotiation, where there was no handshake before (RFC 5746 section 3.4).
    await each(ANON, FAILURE, alters(SERVER_HELLO, extended((0xFF01, b"\x0c" + bytes(12))), extended((0xFF01, b""))))


@simulated
async def test_hellos_that_are_cut():
    cuts = [lambda body, n=n: body[:n] for n in (0, 1, 2, 10, 33, 34, 35, 36, 37, 39, 42)]
    cuts.append(lambda body: body[:34] + b"\xff" + body[35:])  # a session identifier that is not there
    await each(ANON, DECODE, alters(SERVER_HELLO, *cuts))


@simulated
async def test_hello_verify_requests_without_end():
    async with World() as world:
        end = End(world.network, LIAR)
        count = []

        async def serve():
            while True:
                data, source, _ = await end.receive()
                for one in records(data):
                    if one[0] == HANDSHAKE and one[13] == CLIENT_HELLO:
                        body = b"\xfe\xfd\4" + len(count).to_bytes(4, "big")
                        number = one[17] << 8 | one[18]
                        end.send(record(HANDSHAKE, fragment(VERIFY_REQUEST, number, len(body), 0, body)), source)
                        count.append(1)

        task = create_task(serve())
        began = now()
        with raises(OSError) as caught:
            await world.server.connect(LIAR)
        assert not isinstance(caught.value, Alert) and since(began) <= 20_000
        assert len(count) < 30  # with every other timer a new cookie is taken, and no faster
        task.cancel()


@simulated
async def test_hello_verify_requests_that_are_none():
    for body, code in (
        (b"\xfe\xfd\0", ILLEGAL),
        (b"\xfe\xfd\5abc", DECODE),
        (b"\xfe\xfd\1ab", DECODE),
        (b"\xfe", DECODE),
    ):
        async with World() as world:
            End(world.network, LIAR)
            task = create_task(world.server.connect(LIAR))
            await settle()
            world.network.inject(LIAR, SERVER, record(HANDSHAKE, fragment(VERIFY_REQUEST, 0, len(body), 0, body)))
            with raises(Alert) as caught:
                await task
            assert caught.value.code == code


@simulated
async def test_a_cookie_of_any_length_is_brought_back():
    for size in (1, 32, 255):
        async with World() as world:
            end = End(world.network, LIAR)
            task = create_task(world.server.connect(LIAR, 3000))
            await settle()
            cookie = urandom(size)
            body = b"\xfe\xff" + bytes((size,)) + cookie  # its version says nothing
            world.network.inject(LIAR, SERVER, record(HANDSHAKE, fragment(VERIFY_REQUEST, 0, len(body), 0, body)))
            await settle()
            first, second = [data[25:] for data in world.network.sent(SERVER, LIAR)]
            assert second[:35] == first[:35] and second[35] == size and second[36 : 36 + size] == cookie
            assert second[36 + size :] == first[36:], "nothing else has changed"
            assert first[35] == 0 and end.queue
            with raises(OSError):
                await task


@simulated
async def test_a_server_without_a_cookie_is_taken_as_it_is():
    async with World() as world:
        server = ForgedServer(world.network, None, Credentials((ECDHE_PSK,)), LIAR, verify=False)
        session = await world.server.connect(LIAR)
        assert server.hellos == 1 and session.master == server.handshake.session.master
        world.server.transport.drop(session)


@simulated
async def test_key_exchanges_on_another_curve_and_points_that_are_none():
    public = KEYS[1]
    off = public[:63] + bytes((public[63] ^ 1,))
    curve = b"\3\0\x17"
    other = [b"\3\0\x18\x61\4" + bytes(96), b"\3\0\x15\x41\4" + public, b"\1\0\x17\x41\4" + public, b"\2\0\x17"]
    await each(ANON, FAILURE, sends(SERVER_KEY, *other))
    await each(ANON, ILLEGAL, sends(SERVER_KEY, *(curve + b"\x41\4" + p for p in (off, bytes(64), b"\xff" * 64))))
    forms = [
        curve + b"\x21\2" + public[:32],
        curve + b"\1\0",
        curve + b"\0",
        curve + b"\x41\4" + public[:63],
        curve + b"\x41\4" + public + b"\0",
        curve[:2],
        b"",
    ]
    await each(ANON, DECODE, sends(SERVER_KEY, *forms))
    hints = [b"\0", b"\0\5hint", b"\0\4hint" + curve, b"\xff\xff"]
    await each(ECDHE_PSK, DECODE, sends(SERVER_KEY, *hints))
    await each(PSK_CCM8, DECODE, sends(SERVER_KEY, b"", b"\0", b"\0\1", b"\0\1ab"))


@simulated
async def test_a_hint_may_be_left_out_and_a_point_may_not():
    async with World() as world:
        server = ForgedServer(world.network, {SERVER_KEY: lambda body: None}, Credentials((PSK_CCM8,)), LIAR)
        session = await world.server.connect(LIAR)
        assert session.open and world.server.credentials.hints[-1] == (b"", LIAR)
        world.server.transport.drop(session)
        server.task.cancel()
        await settle()
        for suite in (ANON, ECDHE_PSK, CERT_CCM8):
            await refuses(world, UNEXPECTED, suite, {SERVER_KEY: lambda body: None})


@simulated
async def test_messages_that_are_missing_twice_or_not_expected():
    async with World() as world:
        for suite, kind in ((ANON, SERVER_HELLO), (CERT_CCM8, SERVER_HELLO), (CERT_CCM8, CERTIFICATE)):
            await refuses(world, UNEXPECTED, suite, {kind: lambda body: None})
        for suite, after in ((ANON, SERVER_HELLO), (ANON, SERVER_KEY), (CERT_CCM8, CERTIFICATE)):
            # Not a HelloVerifyRequest: until the server has chosen it may be for a hello before, and is passed over.
            for kind in (
                SERVER_HELLO,
                HELLO_REQUEST,
                CERTIFICATE,
                CERTIFICATE_REQUEST,
                CLIENT_KEY,
                99,
            ):
                done = []

                def more(handshake, kind=kind, done=done):
                    if not done:
                        done.append(1)
                        handshake.add(kind, b"\1\x40\0\0\0\0")

                await refuses(world, UNEXPECTED, suite, after=after, more=more)
        await refuses(world, DECODE, ANON, {DONE: lambda body: b"\0"})
        await refuses(world, DECODE, CERT_CCM8, {DONE: lambda body: b"\0"})


@simulated
async def test_certificates_that_are_none():
    empty = b"\0\0\0"
    await each(CERT_CCM8, BAD_CERTIFICATE, sends(CERTIFICATE, b"\0\0\6\0\0\3abc", b"\0\0\x0f" + empty * 5))
    await each(CERT_CCM8, DECODE, sends(CERTIFICATE, b"", empty + b"\0", b"\0\0\1", b"\0\0\3\0\0\1"))
    await each(CERT_CCM8, FAILURE, sends(CERTIFICATE, empty))


@simulated
async def test_key_exchanges_that_another_key_signed_or_nobody():
    async with World() as world:
        stranger = p256.key_pair(urandom)
        point = b"\3\0\x17\x41\4"
        kept = []

        def keep(body):
            kept.append(body)
            return body

        server = ForgedServer(world.network, {SERVER_KEY: keep}, Credentials((CERT_CCM8,)), LIAR)
        world.server.transport.drop(await world.server.connect(LIAR))
        server.task.cancel()
        await settle()
        for change, code in (
            (lambda body: kept[0], DECRYPT),  # of an earlier handshake, with other randoms
            (lambda body: point + stranger[1] + body[69:], DECRYPT),  # another's point
            (lambda body: body[:-1] + bytes((body[-1] ^ 1,)), DECRYPT),
            (lambda body: body[:69] + b"\5\3" + body[71:], FAILURE),
            (lambda body: body[:69] + b"\2\3" + body[71:], FAILURE),
            (lambda body: body[:69], DECODE),
            (lambda body: body[:-1], DECODE),
            (lambda body: body + b"\0", DECODE),
            (lambda body: body[:69] + b"\4\3\0\0", DECODE),
        ):
            await refuses(world, code, CERT_CCM8, {SERVER_KEY: change})

        # The certificate of one server, the key of another.
        thief = ForgedServer(world.network, None, Credentials((CERT_CCM8,), stranger), LIAR)
        thief.credentials.own = Credentials().own[0], stranger[0]
        world.server.credentials.allowed = (CERT_CCM8,)
        with raises(Alert) as caught:
            await world.server.connect(LIAR)
        assert caught.value.code == DECRYPT


@simulated
async def test_a_server_with_another_pre_shared_key():
    for suite in (PSK_CCM8, ECDHE_PSK):
        async with World() as world:
            credentials = Credentials((suite,))
            credentials.known = {b"client": (bytes(16), "client")}
            server = ForgedServer(world.network, None, credentials, LIAR)
            world.server.credentials.allowed = (suite,)
            task = create_task(world.server.connect(LIAR, 3000))
            await sleep_ms(1100)  # the first Finished that cannot be read may have changed under way
            assert isinstance(server.error, Alert) and server.error.code == BAD_MAC
            world.network.inject(LIAR, SERVER, record(ALERT, bytes((2, BAD_MAC))))
            with raises(Alert) as caught:
                await task
            assert caught.value.received and caught.value.code == BAD_MAC


@simulated
async def test_a_wrong_finished_is_refused_under_the_new_keys():
    """Its own ChangeCipherSpec is sent: nothing of the client's goes in the clear any more."""
    for suite in (ANON, PSK_CCM8, CERT_CCM8):
        async with World() as world:
            for body in (bytes(12), urandom(12), b"", bytes(13)):
                server = ForgedServer(world.network, {FINISHED: lambda b, n=body: n}, Credentials((suite,)), LIAR)
                world.server.credentials.allowed = (suite,)
                world.network.log.clear()
                with raises(Alert) as caught:
                    await world.server.connect(LIAR)
                assert caught.value.code == DECRYPT and not caught.value.received
                await settle()
                last = world.network.sent(SERVER, LIAR)[-1]
                assert last[0] == ALERT and last[3:5] == b"\0\1"
                assert bytes(server.handshake.session.unseal(last)) == bytes((2, DECRYPT))
                assert LIAR not in world.server.transport.sessions
                server.task.cancel()
                await settle()


@simulated
async def test_a_protected_record_of_other_keys_instead_of_finished():
    async with World() as world:
        ForgedServer(world.network, None, Credentials((ANON,)), LIAR)
        world.server.credentials.allowed = (ANON,)

        def rule(source, _target, data):
            return [record(HANDSHAKE, urandom(96), 1) if source == LIAR and data[0] == CCS else data]

        world.network.rule = rule
        task = create_task(world.server.connect(LIAR))
        await settle()
        world.network.inject(LIAR, SERVER, record(HANDSHAKE, urandom(96), 1, 1))
        with raises(Alert) as caught:
            await task
        assert caught.value.code == BAD_MAC and not caught.value.received


@simulated
async def test_a_server_that_falls_silent_is_given_up():
    for suite in (ANON, CERT_CCM8):
        for kind in (SERVER_HELLO, HELLO_REQUEST):  # in its flight, and before its Finished
            async with World() as world:
                ForgedServer(world.network, None, Credentials((suite,)), LIAR)

                def rule(source, _target, data, kind=kind):
                    lost = source == LIAR and (data[0] == CCS or data[13] == kind)
                    return [] if lost else [data]

                world.network.rule = rule
                world.server.credentials.allowed = (suite,)
                began = now()
                with raises(OSError) as caught:
                    await world.server.connect(LIAR)
                assert not isinstance(caught.value, Alert) and caught.value.args[0] == 110
                assert 19_000 < since(began) <= 20_000
                await settle()
                assert world.server.handshakes == 0


@simulated
async def test_alerts_of_the_server_say_why():
    for data, fails in ((b"\2\x28", True), (b"\1\0", True), (b"\1\x5a", False), (b"\2", False)):
        async with World() as world:
            End(world.network, LIAR)
            task = create_task(world.server.connect(LIAR, 3000))
            await settle()
            world.network.inject(LIAR, SERVER, record(ALERT, data))
            await settle()
            assert world.server.handshakes == (0 if fails else 1)
            with raises(OSError) as caught:
                await task
            assert isinstance(caught.value, Alert) == fails
            if fails:
                assert caught.value.received and caught.value.code == data[1]


@simulated
async def test_data_of_a_server_before_its_finished_is_not_heard():
    async with World() as world:
        server = ForgedServer(world.network, None, Credentials((ANON,)), LIAR)
        world.server.credentials.allowed = (ANON,)
        held = []

        def rule(source, _target, data):
            if source == LIAR and data[0] == CCS:
                held.append(data)
                return []
            return [data]

        world.network.rule = rule
        task = create_task(world.server.connect(LIAR))
        await settle()
        session = server.handshake.session
        for data in (session.seal(APPLICATION, b"early"), record(APPLICATION, b"clear")):
            world.network.inject(LIAR, SERVER, data)
        await sleep_ms(100)
        assert held and not world.server.heard
        world.network.inject(LIAR, SERVER, held[0])
        mine = await task
        assert not world.server.heard
        world.network.inject(LIAR, SERVER, session.seal(APPLICATION, b"in time"))
        await settle()
        assert world.server.heard == [(b"in time", mine)]
        world.server.transport.drop(mine)
