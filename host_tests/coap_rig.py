"""For tests of CoAP on both interpreters: transports in memory, whose losses the test decides."""

from asyncio import Event

from coap.message import pack, parse

CON, NON, ACK, RST = 0, 1, 2, 3


def datagram(kind, code, mid=1, token=b"", options=(), payload=b""):
    """A message as bytes."""
    view = memoryview(bytearray(1500))
    return bytes(view[: pack(view, kind, code, mid, token, list(options), payload)])


class Recorder:
    """A transport that keeps what is sent, as messages; datagrams come in through `Endpoint.receive`."""

    secure = False

    def __init__(self):
        self.sent = []
        self.who = {}

    def send(self, data, peer):
        message = parse(bytes(data))
        message.peer = peer
        message.raw = bytes(data)
        self.sent.append(message)

    def take(self):
        """The only message sent since the last call."""
        assert len(self.sent) == 1, "%d messages were sent" % len(self.sent)
        return self.sent.pop()

    def identity(self, peer):
        return self.who.get(peer)

    def close(self):
        pass


class Wire:
    """Joins two ends, "a" and "b". `rule(sender, number, data)` lists the datagrams that arrive, in order."""

    def __init__(self, rule=None):
        self.rule = rule or (lambda sender, number, data: [data])
        self.count = 0
        self.log = []
        self.a = End(self, "a", "b")
        self.b = End(self, "b", "a")

    def carry(self, end, data):
        self.log.append((end.name, data))
        other = self.b if end is self.a else self.a
        for one in self.rule(end.name, self.count, data):
            other.queue.append(one)
        self.count += 1
        other.event.set()


class End:
    """One end of a Wire: a transport."""

    secure = False

    def __init__(self, wire, name, peer):
        self.wire = wire
        self.name = name
        self.peer = peer
        self.queue = []
        self.event = Event()

    async def receive(self):
        while not self.queue:
            self.event.clear()
            await self.event.wait()
        return memoryview(self.queue.pop(0)), self.peer, False

    def send(self, data, peer):
        assert peer == self.peer
        self.wire.carry(self, bytes(data))

    def identity(self, _peer):
        return None

    def close(self):
        pass
