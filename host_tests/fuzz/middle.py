"""Two ends of DTLS and, between them, somebody who changes, drops, repeats and delays what they send."""

import asyncio

import coap.endpoint
import dtls.handshake
from coap.endpoint import Endpoint
from crypto.p256 import key_pair
from dtls.transport import DtlsTransport
from mutator import Random, mutated

SERVER, CLIENT, OTHER = ("server", 1), ("client", 2), ("other", 3)
PSK = bytes(range(16))
PATIENCE = 600  # turns of the loop in which nothing is sent, until nothing more will be
MOST_INBOX, MOST_EARLY, MOST_PART = 16, 3, 6144


class Credentials:
    """One key for everybody; certificates begin with their public key, and everybody has the same."""

    pair = key_pair(lambda n: bytes(range(1, n + 1)))

    def __init__(self, suites):
        self._suites = suites

    def suites(self):
        return self._suites

    def hint(self):
        return b"hint"

    def psk(self, identity):
        return (PSK, "peer") if identity == b"me" else None

    def psk_for(self, hint, address):
        return b"me", PSK, "peer"

    def certificate(self):
        return [self.pair[1] + bytes(1200)], self.pair[0]

    async def trust(self, chain):
        if not chain or len(chain[0]) < 64:
            raise ValueError("no certificate")
        return bytes(chain[0][:64]), "peer"

    def opened(self, session):
        pass

    closed = opened


class Middle:
    """Carries datagrams between Wires; those to or from CLIENT it meddles with."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.wires = {}
        self.seen = [bytes(30)]
        self.sent = 0
        self.honest = False

    def carry(self, data, source, target):
        self.sent += 1
        if self.honest or OTHER in (source, target):
            self.deliver(data, source, target)
            return
        self.seen.append(data)
        chance = self.random.below(16)
        if chance == 0:
            return
        if chance < 4:
            self.deliver(mutated(self.random, [data], 1500), source, target)
        elif chance == 4:
            self.deliver(mutated(self.random, self.seen[-8:], 1500), source, target)
        elif chance == 5:
            self.deliver(self.seen[self.random.below(len(self.seen))], source, target)
        elif chance == 6:
            self.deliver(mutated(self.random, [data], 1500), source, target)
            self.deliver(data, source, target)
        if chance >= 4:
            self.deliver(data, source, target)

    def deliver(self, data, source, target):
        if target in self.wires:
            self.wires[target].arrived.put_nowait((data, source))


class Wire:
    secure = False

    def __init__(self, middle, own):
        self.own, self.middle = own, middle
        self.arrived = asyncio.Queue()
        middle.wires[own] = self

    async def receive(self):
        data, peer = await self.arrived.get()
        return memoryview(data), peer, False

    def send(self, data, peer):
        self.middle.carry(bytes(data), self.own, peer)

    def identity(self, peer):
        return None

    def close(self):
        pass


async def meddled(suite, seed):
    """One handshake with the one in the middle, and another Client's without: True when the first came about as well."""
    errors = []
    dtls.handshake.print_exception = coap.endpoint.print_exception = errors.append
    middle = Middle(seed)
    server = DtlsTransport(Wire(middle, SERVER), Credentials((0xFF00, 0xC037, 0xC0A8, 0xC0AE, 0xC0AC)))
    client, other = [DtlsTransport(Wire(middle, own), Credentials((suite,)), False) for own in (CLIENT, OTHER)]
    ends = [Endpoint(end) for end in (server, client, other)]
    tasks = [asyncio.ensure_future(end.run()) for end in ends]
    try:
        connecting = asyncio.ensure_future(client.connect(SERVER))
        await settled(middle, connecting, (server, client))
        done = connecting.done() and not connecting.cancelled() and connecting.exception() is None
        if done:
            session = connecting.result()
            assert session.suite == suite
            if SERVER in client.sessions and CLIENT in server.sessions and session is client.sessions[SERVER]:
                assert server.sessions[CLIENT].master == session.master, "both ends believe in the same session"
        connecting.cancel()
        for _ in range(20):  # and now whatever comes into the sessions, if there are any
            middle.deliver(mutated(middle.random, middle.seen, 1500), CLIENT, SERVER)
            middle.deliver(mutated(middle.random, middle.seen, 1500), SERVER, CLIENT)
        await settled(middle, None, (server, client))
        await asyncio.wait_for(other.connect(SERVER), 20)  # others do not notice
        assert OTHER in server.sessions
        await asyncio.gather(connecting, return_exceptions=True)
    finally:
        for end in ends:
            end.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not errors, errors
    return done


async def settled(middle, task, ends):
    """Until `task` is done, or nothing more is sent; meanwhile nothing grows beyond its limits."""
    still, sent = 0, middle.sent
    while still < PATIENCE and not (task and task.done()):
        await asyncio.sleep(0)
        still = still + 1 if sent == middle.sent and all(wire.arrived.empty() for wire in middle.wires.values()) else 0
        sent = middle.sent
        for end in ends:
            assert len(end.handshakes) <= 3 and len(end.sessions) <= 6
            for handshake, _ in end.handshakes.values():
                assert len(handshake._inbox) <= MOST_INBOX + 1 and len(handshake._early) <= MOST_EARLY + 1
                assert len(handshake._part) <= MOST_PART
                assert sum(len(entry[2]) for entry in handshake._early) <= 2048 + MOST_PART


async def flooded(seed, count):
    """ClientHellos, as they are and damaged, each from another address: nothing is kept, and less is sent than came."""
    middle = Middle(seed)
    server = DtlsTransport(Wire(middle, SERVER), Credentials((0xC037,)))
    client = DtlsTransport(Wire(middle, CLIENT), Credentials((0xC037,)), False)
    ends = Endpoint(server), Endpoint(client)
    tasks = [asyncio.ensure_future(end.run()) for end in ends]
    middle.honest = True
    middle.wires.pop(SERVER)
    hellos = []
    middle.deliver = lambda data, source, target: hellos.append(data)  # an own one, to begin with
    connecting = asyncio.ensure_future(client.connect(SERVER))
    while not hellos:
        await asyncio.sleep(0)
    connecting.cancel()
    hello = hellos[0]
    cookie = hello.replace(hello[25:60] + b"\0", hello[25:60] + b"\x10" + bytes(16))
    hellos.clear()
    sent = 0
    for i in range(count):
        data = mutated(middle.random, [hello, cookie], 1500) if i % 4 else hello
        sent += len(data)
        server._take(memoryview(data), ("stranger", i))
        assert not server.handshakes and not server.sessions
    assert len(hellos) >= count // 4 and sum(len(answer) for answer in hellos) < sent
    for end in ends:
        end.close()
    await asyncio.gather(connecting, *tasks, return_exceptions=True)
