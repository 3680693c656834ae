"""For tests of DTLS on both interpreters: datagrams in memory, time that passes only when all wait.

`@simulated` runs a test of coroutines in its own time. `Network` carries datagrams, and a test sees, holds, alters or
repeats them. `Peer` is the product's transport. `async with World()` is the check that every attack must pass: see there.
"""

import asyncio
import sys

import crypto.chain  # what is loaded for a moment elsewhere stays here: the heap's growth is the test's
import crypto.ecdh
import crypto.ecdsa
import crypto.reading
import crypto.verify  # noqa: F401
import dtls.certificates
import dtls.client
import dtls.cookie
import dtls.handshake
import dtls.inbox
import dtls.record
import dtls.server
import dtls.transport
from crypto import p256
from dtls.transport import DtlsTransport
from port import heap_used, sleep_ms, ticks_diff, urandom

ANON, ECDHE_PSK, PSK_CCM8, CERT_CCM8, CERT_CCM = SUITES = (0xFF00, 0xC037, 0xC0A8, 0xC0AE, 0xC0AC)
CCS, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, VERIFY_REQUEST = 0, 1, 2, 3
CERTIFICATE, SERVER_KEY, CERTIFICATE_REQUEST, DONE = 11, 12, 13, 14
VERIFY, CLIENT_KEY, FINISHED = 15, 16, 20
SERVER = ("server", 5684)


# Time


def simulated(test):
    """A test of coroutines whose time passes only when every task waits for it."""

    def run():
        done = []

        async def whole():
            await test()
            done.append(True)

        if sys.implementation.name == "micropython":
            _run_micropython(whole)
        else:
            _run_cpython(whole)
        assert done, "all tasks wait for each other"

    return run


def _run_cpython(whole):
    class Loop(asyncio.SelectorEventLoop):
        """Instead of waiting, it sets the clock."""

        def __init__(self):
            super().__init__()
            self.now = 1000.0
            self._select = self._selector.select
            self._selector.select = self._wait

        def time(self):
            return self.now

        def _wait(self, timeout):
            assert timeout is not None, "all tasks wait for each other"
            self.now += timeout
            return self._select(0)

    loop = Loop()
    with _Ticks(lambda: round(loop.now * 1000) % (1 << 30)), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(whole())


def _run_micropython(whole):
    core = asyncio.core
    asyncio.new_event_loop()
    real = core.ticks
    now = [real() + 3_600_000]  # ahead of the real clock, by which tasks that are ready are sorted

    def wait(ms):
        now[0] += max(0, ms)

    core.ticks = lambda: now[0]
    core._io_queue.wait_io_event = wait
    try:
        with _Ticks(core.ticks):
            asyncio.run(whole())
    finally:
        core.ticks = real
        asyncio.new_event_loop()


class _Ticks:
    """The clock of lib/dtls."""

    MODULES = dtls.transport, dtls.handshake, dtls.inbox, dtls.server, dtls.cookie, dtls.record

    def __init__(self, ticks):
        self.ticks = ticks

    def __enter__(self):
        self.real = [module.ticks_ms for module in self.MODULES]
        for module in self.MODULES:
            module.ticks_ms = self.ticks

    def __exit__(self, *_exc):
        for module, real in zip(self.MODULES, self.real):  # noqa: B905
            module.ticks_ms = real


def now():
    """The simulated time in ms."""
    return dtls.record.ticks_ms()


def since(began):
    """Simulated ms since then."""
    return ticks_diff(now(), began)


async def settle():
    """Until every datagram has arrived and all is calculated: no timer of DTLS is that short."""
    await sleep_ms(1)


# The network


class Network:
    """Datagrams between addresses. `rule(source, target, data)` gives those that arrive instead of `data`.

    `log` has everything that was sent, as (source, target, data).
    """

    def __init__(self):
        self.ends = {}
        self.log = []
        self.peers = []
        self.rule = None

    def carry(self, source, target, data):
        self.log.append((source, target, data))
        for one in [data] if self.rule is None else self.rule(source, target, data):
            self.inject(source, target, one)

    def inject(self, source, target, data):
        """Let a datagram arrive, whoever sent it."""
        end = self.ends.get(target)
        if end:
            end.queue.append((bytes(data), source))
            end.event.set()

    def sent(self, source, target=None):
        """The datagrams that came from `source`."""
        return [data for s, t, data in self.log if s == source and target in (None, t)]


class End:
    """A transport in the clear."""

    secure = False
    closed = False

    def __init__(self, network, address):
        self.network = network
        self.address = address
        self.queue = []
        self.event = asyncio.Event()
        network.ends[address] = self

    async def receive(self):
        while not self.queue:
            self.event.clear()
            await self.event.wait()
        data, source = self.queue.pop(0)
        return memoryview(data), source, False

    def send(self, data, peer):
        self.network.carry(self.address, peer, bytes(data))

    def identity(self, _peer):
        return None

    def close(self):
        self.closed = True


# Who knows keys

KEYS = p256.key_pair(urandom)  # of a server
OTHER = p256.key_pair(urandom)  # of a client
PSK = urandom(16)


class Credentials:
    """Keys that everybody here shares, and certificates that are nothing but a public key. Tests change what they like."""

    def __init__(self, suites=SUITES, pair=KEYS, name="client", psk=PSK):
        self.allowed = suites
        self.pair = pair
        self.name = name
        self.known = {name.encode(): (psk, name)}
        self.key = psk
        self.asked = []
        self.hints = []
        self.chains = []
        self.log = []
        self.admit = None  # what opened() returns
        self.keep = False
        self.own = [pair[1] + bytes(400)], pair[0]

    def suites(self):
        return self.allowed

    def hint(self):
        return b"hint of the server"

    def psk(self, identity):
        self.asked.append(identity)
        return self.known.get(identity)

    def psk_for(self, hint, address):
        self.hints.append((hint, address))
        return self.key and (self.name.encode(), self.key, "server")

    def certificate(self):
        return self.own

    async def trust(self, chain):
        self.chains.append(chain)
        if not chain:
            return None, None
        if len(chain[0]) < 64:
            raise ValueError("not a certificate")
        return chain[0][:64], "uuid of %d" % len(chain[0])

    def opened(self, session):
        self.log.append(("opened", session))
        session.kept = self.keep
        return self.admit

    def closed(self, session):
        self.log.append(("closed", session))


_HELD = ("asked", "hints", "chains", "log")


class Peer:
    """A DtlsTransport and what came out of it: `heard` as (data, session), `gone` as sessions."""

    def __init__(self, network, address, credentials=None, server=False, limit=6):
        self.address = address
        self.credentials = credentials or Credentials(pair=KEYS if server else OTHER)
        self.transport = DtlsTransport(End(network, address), self.credentials, server, limit)
        self.heard = []
        self.gone = []
        self.transport.closed = self.gone.append
        self.task = asyncio.create_task(self._run())
        network.peers.append(self)

    def close(self):
        self.transport.close()
        self.task.cancel()
        self.heard.clear()
        self.gone.clear()

    async def _run(self):
        while True:
            data, session, _ = await self.transport.receive()
            self.heard.append((bytes(data), session))

    async def connect(self, target=SERVER, timeout_ms=20_000):
        return await self.transport.connect(target, timeout_ms)

    def send(self, data, session):
        self.transport.send(data, session)

    @property
    def handshakes(self):
        """How many are under way."""
        return len(self.transport.handshakes)


async def exchange(client, session, server):
    """Data both ways over the client's `session`; the server's session."""
    await settle()
    client.heard.clear()
    server.heard.clear()
    question = urandom(20)
    client.send(question, session)
    await settle()
    assert [data for data, _ in server.heard] == [question], "the server does not hear the client"
    other = server.heard[0][1]
    server.send(b"re: " + question, other)
    await settle()
    assert client.heard == [(b"re: " + question, session)], "the client does not hear the server"
    return other


class World:
    """A server with all suites, and a client that has a session with it before and after whatever a test does.

    On leaving, when the test was well: that session is the same and alive; no handshake is left after its time; the server
    takes in a newcomer; and (on MicroPython, which can tell) its memory is what it was.
    """

    def __init__(self, credentials=None, limit=6, growth=60_000):
        """`growth`: bytes that the test itself may still refer to: its peers' sessions, their messages."""
        self.growth = growth
        self.network = Network()
        self.server = Peer(self.network, SERVER, credentials, True, limit)
        self.healthy = Peer(self.network, ("healthy", 1), Credentials((PSK_CCM8,)))

    async def __aenter__(self):
        self.session = await self.healthy.connect()
        self.other = await exchange(self.healthy, self.session, self.server)
        await sleep_ms(500)  # the keys made ahead are there
        self._forget()
        self.heap = heap_used()
        return self

    async def __aexit__(self, kind, *_exc):
        if kind is not None:
            return False
        assert self.server.handshakes <= self.server.transport.places
        self.network.rule = None
        assert await exchange(self.healthy, self.session, self.server) is self.other
        await sleep_ms(125_000)
        assert self.server.handshakes == 0, "a handshake never ends"
        assert not self.server.transport._ready
        suites, self.server.credentials.allowed = self.server.credentials.allowed, SUITES
        newcomer = Peer(self.network, ("newcomer", 1), Credentials((PSK_CCM8,)))
        session = await newcomer.connect()
        await exchange(newcomer, session, self.server)
        for peer in self.network.peers:
            if peer not in (self.server, self.healthy):
                peer.close()
        await settle()
        for peer in self.network.peers[2:]:
            peer.transport = peer.task = None
        for session in list(self.server.transport.sessions.values()):
            if session is not self.other:
                self.server.transport.drop(session)
        assert await exchange(self.healthy, self.session, self.server) is self.other
        del newcomer, session
        self.server.credentials.allowed = suites
        self._forget()
        await sleep_ms(500)
        grown = heap_used() - self.heap
        assert grown < self.growth, "%d bytes more are in use" % grown
        return False

    def _forget(self):
        """Drop what only this rig holds."""
        self.network.log.clear()
        self.network.peers = [self.server, self.healthy]
        self.network.ends = {end: self.network.ends[end] for end in (SERVER, self.healthy.address)}
        for peer in self.network.peers:
            for held in [peer.heard, peer.gone] + [getattr(peer.credentials, n) for n in _HELD]:
                held.clear()

    async def client(self, name="client", credentials=None):
        """(Another Peer, its session with the server, the server's session)."""
        peer = Peer(self.network, (name, 1), credentials)
        session = await peer.connect()
        return peer, session, self.server.transport.sessions[name, 1]
