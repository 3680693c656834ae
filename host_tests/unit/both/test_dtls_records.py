"""Records that are forged, repeated, cut or out of place: nobody answers, the session lives on, nothing is told apart."""

from asyncio import create_task

import dtls.record
from crypto import hashed
from dtls_forger import ForgedServer, Forger, fragment, record
from dtls_rig import (
    ALERT,
    ANON,
    APPLICATION,
    CCS,
    CERT_CCM,
    CLIENT_HELLO,
    ECDHE_PSK,
    FINISHED,
    HANDSHAKE,
    HELLO_REQUEST,
    PSK_CCM8,
    SERVER,
    Credentials,
    Peer,
    World,
    settle,
    simulated,
)
from port import aes, sleep_ms, urandom


class Attack:
    """A World with a Forger that has a session; `expect` says what the server may have heard and answered since."""

    def __init__(self, suite=ANON):
        self.world = World()
        self.suite = suite

    async def __aenter__(self):
        await self.world.__aenter__()
        self.forger = Forger(self.world.network, Credentials((self.suite,)))
        assert await self.forger.go() is None
        self.put(APPLICATION, b"hello")
        await settle()
        self.other = self.world.server.transport.sessions[self.forger.end.address]
        await self.expect(b"hello")
        return self

    async def __aexit__(self, kind, *rest):
        if kind is None:
            assert self.world.server.transport.sessions[self.forger.end.address] is self.other and self.other.open
            self.put(APPLICATION, b"alive")
            await self.expect(b"alive")
            self.world.server.send(b"and well", self.other)
            (answer,) = self.forger.answers()
            assert bytes(self.forger.session.unseal(answer)) == b"and well"
        return await self.world.__aexit__(kind, *rest)

    async def expect(self, *data):
        """The server has heard exactly this from the Forger and answered nothing."""
        await sleep_ms(3000)
        assert [d for d, _ in self.world.server.heard] == list(data), self.world.server.heard
        self.world.server.heard.clear()
        assert self.forger.answers() == []

    def put(self, *args):
        self.forger.put(*args)

    def send(self, data):
        self.forger.end.send(data, SERVER)

    def sealed(self, content=APPLICATION, data=b"data", epoch=1):
        return self.forger.session.seal(content, data, epoch)


def changed(data, at, by=1):
    """`data` with one byte changed."""
    data = bytearray(data)
    data[at] ^= by
    return bytes(data)


@simulated
async def test_any_change_of_a_record_makes_it_nothing_in_every_kind_of_suite():
    for suite in (ANON, PSK_CCM8, CERT_CCM):
        async with Attack(suite) as attack:
            good = attack.sealed(data=b"sixteen bytes 16")
            for at in list(range(13, len(good))) + [0, 2, 4, 5, 10, 11, 12]:
                attack.send(changed(good, at))
            attack.send(good[:-1])
            attack.send(good[:11] + (len(good) - 14).to_bytes(2, "big") + good[13:-1])
            await attack.expect()
            attack.send(good)
            await attack.expect(b"sixteen bytes 16")


def cbc_record(attack, plain):
    """A record whose plaintext, MAC and padding are what a test says."""
    side = attack.forger.session.write
    session = attack.forger.session
    number = session.next[1]
    session.next[1] += 1
    iv = urandom(16)
    data = iv + aes(side._key, 2, iv).encrypt(plain)
    return record(APPLICATION, data, 1, number), number


def mac(attack, number, data):
    pseudo = bytes((0, 1)) + number.to_bytes(6, "big") + b"\x17\xfe\xfd" + len(data).to_bytes(2, "big")
    return hashed(attack.forger.session.write._mac, pseudo, data)


class Counting:
    """While it holds, `log` has an entry for each MAC that is calculated of a record with this key."""

    def __init__(self, key, log):
        self.key, self.log = key, log

    def __enter__(self):
        self.real, dtls.record.hashed = dtls.record.hashed, self.of

    def __exit__(self, *_exc):
        dtls.record.hashed = self.real

    def of(self, key, *parts):
        if key == self.key:
            self.log.append(1)
        return self.real(key, *parts)


@simulated
async def test_every_wrong_padding_and_a_wrong_mac_take_one_path():
    """No answer, no difference, a MAC calculated for each; right padding of every length is taken."""
    async with Attack(ECDHE_PSK) as attack:
        macs = []
        with Counting(attack.other.read._mac, macs):
            number = attack.forger.session.next[1]
            data = b"x" * 15
            good = data + mac(attack, number, data)
            attack.send(cbc_record(attack, good + bytes(1))[0])
            await attack.expect(data)
            assert len(macs) == 1
            # The last byte says any length of padding, and the padding is not that.
            for pad in range(1, 256):
                number = attack.forger.session.next[1]
                attack.send(cbc_record(attack, data + mac(attack, number, data) + bytes((pad,)))[0])
            await attack.expect()
            assert len(macs) == 256, "a MAC is calculated whatever the padding is"
            # One byte of the padding is wrong.
            for at in range(16):
                number = attack.forger.session.next[1]
                padding = changed(b"\x0f" * 16, at, 0x10)
                attack.send(cbc_record(attack, data[:0] + b"y" * 16 + mac(attack, number, b"y" * 16) + padding)[0])
            # The MAC is wrong, of another content, of another number.
            for wrong in (bytes(32), mac(attack, number, data), mac(attack, number + 5, b"z" * 15)):
                attack.send(cbc_record(attack, b"z" * 15 + wrong + bytes(1))[0])
            await attack.expect()
            assert len(macs) == 256 + 16 + 3
            for pad in (0, 15, 16 + 15, 255):
                size = (16 - (pad + 1 + 32) % 16) % 16
                data = b"p" * size
                number = attack.forger.session.next[1]
                plain = data + mac(attack, number, data) + bytes((pad,)) * (pad + 1)
                attack.send(cbc_record(attack, plain)[0])
                await attack.expect(data)


@simulated
async def test_records_too_short_for_iv_mac_and_padding():
    for suite in (ECDHE_PSK, PSK_CCM8, CERT_CCM):
        async with Attack(suite) as attack:
            for size in range(70):
                attack.send(record(APPLICATION, urandom(size), 1, 50 + size))
                attack.send(record(HANDSHAKE, urandom(size), 1, 200 + size))
            await attack.expect()


@simulated
async def test_forged_records_move_no_window():
    async with Attack(PSK_CCM8) as attack:
        for number in (500, 1 << 40, (1 << 48) - 1):
            attack.send(record(APPLICATION, urandom(40), 1, number))
        await attack.expect()
        attack.put(APPLICATION, b"small number")
        await attack.expect(b"small number")


@simulated
async def test_replay_is_heard_once():
    async with Attack() as attack:
        one, two, three = [attack.sealed(data=data) for data in (b"one", b"two", b"three")]
        for data in (two, two, one, two, one, one + two, three, two, one, three):
            attack.send(data)
        await attack.expect(b"two", b"one", b"three")


@simulated
async def test_the_window_takes_what_is_late_and_refuses_what_is_too_old():
    async with Attack(PSK_CCM8) as attack:
        late = [attack.sealed(data=b"%d" % i) for i in range(66)]
        attack.send(late[65])
        await attack.expect(b"65")
        for i in (0, 1):
            attack.send(late[i])
        await attack.expect()
        for i in (2, 64, 30, 2):
            attack.send(late[i])
        await attack.expect(b"2", b"64", b"30")
        attack.forger.session.next[1] += 1000
        attack.put(APPLICATION, b"far")
        attack.send(late[40])
        await attack.expect(b"far")


@simulated
async def test_a_bad_record_among_good_ones_harms_none():
    async with Attack() as attack:
        one, bad, two = attack.sealed(data=b"one"), attack.sealed(data=b"bad"), attack.sealed(data=b"two")
        attack.send(one + changed(bad, -1) + record(99, b"?") + record(APPLICATION, b"clear") + two)
        await attack.expect(b"one", b"two")


@simulated
async def test_no_datagram_is_taken_before_the_one_before_is_delivered():
    """So what waits for the application is at most what one datagram holds."""
    async with Attack(PSK_CCM8) as attack:
        transport = attack.world.server.transport
        attack.world.server.task.cancel()
        await settle()
        sent = [b"%d" % i for i in range(60)]
        for i in range(0, 60, 20):
            attack.send(b"".join(attack.sealed(data=data) for data in sent[i : i + 20]))
        got = []
        for _ in sent:
            data, session, multicast = await transport.receive()
            got.append(bytes(data))
            assert session is attack.other and not multicast and len(transport._ready) <= 19
        assert got == sent
        attack.world.server.task = create_task(attack.world.server._run())


@simulated
async def test_lengths_that_lie_end_the_datagram():
    async with Attack() as attack:
        one, two = attack.sealed(data=b"one"), attack.sealed(data=b"two")
        for size in (0, 1, len(one) - 12, 0xFFFF):
            attack.send(one[:11] + size.to_bytes(2, "big") + one[13:] + two)
        for cut in range(0, len(one), 7):
            attack.send(one[:cut])
        await attack.expect()
        attack.send(one + two[:-3])
        await attack.expect(b"one")


@simulated
async def test_versions_that_are_none_end_the_datagram():
    async with Attack() as attack:
        for version in (b"\3\3", b"\xfe\xfc", b"\xfe\xfe", b"\xfd\xfd", b"\1\0", b"\0\0"):
            one, two = attack.sealed(data=b"one"), attack.sealed(data=b"two")
            attack.send(one[:1] + version + one[3:] + two)
        one = attack.sealed(data=b"one")
        attack.send(one[:1] + b"\xfe\xff" + one[3:])  # that is read, and its MAC is of another version
        await attack.expect()


@simulated
async def test_content_types_that_are_none_are_ignored():
    async with Attack() as attack:
        for content in (0, 1, 19, CCS, 24, 25, 26, 255):
            attack.put(content, b"\1")
            attack.send(record(content, b"\1"))
        await attack.expect()


@simulated
async def test_data_in_the_clear_on_a_session_is_not_heard():
    async with Attack() as attack:
        for epoch in (0, 2, 3, 255):
            attack.send(record(APPLICATION, b"clear", epoch, 100))
        sealed = attack.sealed()
        attack.send(changed(sealed, 4, 1))  # sealed, and said to be of epoch 0
        attack.send(changed(sealed, 4, 3))  # of epoch 2
        attack.send(changed(sealed, 3, 1))  # of epoch 257
        await attack.expect()


@simulated
async def test_alerts_in_the_clear_close_no_session():
    async with Attack() as attack:
        for code in (0, 10, 20, 40, 80, 255):
            for level in (1, 2):
                attack.send(record(ALERT, bytes((level, code)), 0, code))
                attack.send(record(ALERT, bytes((level, code)), 2, code))
        await attack.expect()


@simulated
async def test_protected_warnings_and_alerts_of_another_length_close_no_session():
    async with Attack() as attack:
        for data in (b"\1\x5a", b"\1\x64", b"", b"\2", b"\2\0\0", b"\2\x28\2\x28"):
            attack.put(ALERT, data)
        await attack.expect()


@simulated
async def test_handshake_messages_after_the_handshake_begin_nothing():
    async with Attack() as attack:
        hello = bytes(attack.forger.transcript[12:])[: int.from_bytes(attack.forger.transcript[1:4], "big")]
        for number in (0, 1, 2, 3, 4, 5, 200):
            attack.put(HANDSHAKE, fragment(HELLO_REQUEST, number, 0, 0, b""))
            attack.put(HANDSHAKE, fragment(CLIENT_HELLO, number, len(hello), 0, hello))
            attack.put(HANDSHAKE, fragment(FINISHED, number, 12, 0, bytes(12)))
            attack.send(record(HANDSHAKE, fragment(HELLO_REQUEST, number, 0, 0, b"")))
            attack.send(record(HANDSHAKE, fragment(FINISHED, number, 12, 0, bytes(12))))
            attack.send(record(HANDSHAKE, fragment(16, number, 12, 0, bytes(12)), 0, 77))
        attack.put(CCS, b"\1")
        attack.send(record(CCS, b"\1"))
        await attack.expect()
        assert attack.world.server.handshakes == 0


@simulated
async def test_a_client_is_as_deaf_to_a_server_that_forges():
    for suite in (ANON, PSK_CCM8):
        async with World() as world:
            server = ForgedServer(world.network, credentials=Credentials((suite,)), address=("liar", 1))
            client = Peer(world.network, ("c", 1), Credentials((suite,)))
            session = await client.connect(("liar", 1))
            other = server.handshake.session
            good = other.seal(APPLICATION, b"good")
            count = len(world.network.sent(client.address))
            for data in (
                changed(good, -1),
                changed(good, 20),
                record(APPLICATION, b"clear"),
                record(ALERT, b"\2\x28"),
                record(HANDSHAKE, fragment(HELLO_REQUEST, 0, 0, 0, b"")),
                other.seal(HANDSHAKE, fragment(HELLO_REQUEST, 0, 0, 0, b"")),
                other.seal(HANDSHAKE, fragment(FINISHED, 6, 12, 0, bytes(12))),
                other.seal(CCS, b"\1"),
                good,
                good,
            ):
                world.network.inject(("liar", 1), client.address, data)
            await sleep_ms(5000)
            assert client.heard == [(b"good", session)] and session.open
            assert len(world.network.sent(client.address)) == count


@simulated
async def test_records_of_strangers_leave_nothing():
    async with World() as world:
        for content in (0, CCS, ALERT, HANDSHAKE, APPLICATION, 99):
            for epoch in (0, 1, 2):
                for size in (0, 1, 2, 12, 40, 200):
                    world.network.inject(("stranger", size), SERVER, record(content, urandom(size), epoch))
        for size in range(40):
            world.network.inject(("stranger", size), SERVER, urandom(size))
        world.network.inject(("stranger", 1), SERVER, record(HANDSHAKE, fragment(16, 1, 66, 0, bytes(66))))
        await settle()
        assert not world.network.sent(SERVER) and world.server.handshakes == 0
        assert len(world.server.transport.sessions) == 1 and not world.server.heard
