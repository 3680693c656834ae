"""Clients and servers of DTLS that lie: the product's handshakes with messages replaced, and bytes made by hand."""

import asyncio

from crypto import p256
from dtls.alert import Alert
from dtls.client import ClientHandshake
from dtls.cookie import Cookies
from dtls.hello import ClientHello
from dtls.record import Session, records
from dtls.server import ServerHandshake
from dtls.wire import head
from dtls_rig import ALERT, CLIENT_HELLO, HANDSHAKE, OTHER, SERVER, Credentials, End, now, since
from port import urandom


def record(content, data, epoch=0, number=0, version=b"\xfe\xfd"):
    """A record in the clear, whatever its epoch says."""
    first = bytes((content,)) + version + bytes((0, epoch)) + number.to_bytes(6, "big")
    return first + len(data).to_bytes(2, "big") + data


def fragment(kind, number, length, offset, part):
    """A fragment of a handshake message, whatever it claims."""
    return b"".join(
        (bytes((kind,)), length.to_bytes(3, "big"), number.to_bytes(2, "big"), offset.to_bytes(3, "big"))
        + (len(part).to_bytes(3, "big"), part)
    )


def alerts(datagrams):
    """The alerts in the clear among these datagrams, as (level, code)."""
    return [tuple(r[13:15]) for data in datagrams for r in records(data) if r[0] == ALERT and r[4] == 0]


def _add(base, handshake, kind, body, epoch):
    """What `alter` (kind of message -> function of the body) makes of it is sent instead; None: nothing is."""
    change = handshake.alter.get(kind)
    if change:
        body = change(body)
    if body is not None:
        base.add(handshake, kind, body, epoch)
        if handshake.after == kind:
            handshake.more(handshake)


class Forger(ClientHandshake):
    """A client's handshake that a test drives; its messages are what `alter` makes of them."""

    def __init__(self, network, credentials=None, alter=None, name="forger", target=SERVER, after=None, more=None):
        self.end = network.ends.get((name, 1)) or End(network, (name, 1))
        self.network = network
        self.alter = alter or {}
        self.after = after
        self.more = more
        super().__init__(Session(target), self.end.send, credentials or Credentials(pair=OTHER), self.key_pair)

    def add(self, kind, body, epoch=0):
        _add(ClientHandshake, self, kind, body, epoch)

    def fresh(self):
        self.transcript = bytearray()
        super().fresh()

    def _hash(self, kind, number, body):
        self.transcript.extend(head(kind, number, len(body)) + body)
        super()._hash(kind, number, body)

    async def key_pair(self):
        return p256.key_pair(urandom)

    async def pump(self):
        while True:
            data, _, _ = await self.end.receive()
            for record in records(data):
                self.take(record)

    async def go(self):
        """The handshake; None, or the error that it ended with."""
        pump = asyncio.create_task(self.pump())
        try:
            return await self.run()
        except OSError as error:
            return error
        finally:
            pump.cancel()

    def put(self, content, data, epoch=1, session=None):
        """Send a record."""
        session = session or self.session
        self.end.send(session.seal(content, data, epoch), session.address)

    def answers(self):
        """What came back since the last call."""
        found = [data for data, _ in self.end.queue]
        self.end.queue.clear()
        return found


class _ForgedServerHandshake(ServerHandshake):
    def add(self, kind, body, epoch=0):
        _add(ServerHandshake, self, kind, body, epoch)


class ForgedServer:
    """A server that answers ClientHellos with `alter`ed messages; `handshake` is the last one that was begun."""

    def __init__(self, network, alter=None, credentials=None, address=SERVER, after=None, more=None, verify=True):
        self.network = network
        self.end = End(network, address)
        self.alter = alter or {}
        self.credentials = credentials or Credentials()
        self.cookies = Cookies()
        self.after = after
        self.more = more
        self.verify = verify
        self.error = self.handshake = None
        self.hellos = 0
        self.task = asyncio.create_task(self.serve())

    async def key_pair(self):
        return p256.key_pair(urandom)

    async def serve(self):
        while True:
            data, source, _ = await self.end.receive()
            for record in records(data):
                if record[0] == HANDSHAKE and record[4] == 0 and record[13] == CLIENT_HELLO:
                    self.hello(record, source)
                elif self.handshake:
                    self.handshake.take(record)

    def hello(self, record, source):
        self.hellos += 1
        body = bytes(record[25:])
        hello = ClientHello(body)
        session = Session(source)
        session.next[0] = int.from_bytes(bytes(record[5:11]), "big")
        if self.verify and not hello.cookie:
            self.end.send(self.cookies.request(session, hello), source)
            return
        self.handshake = _ForgedServerHandshake(
            session, self.end.send, self.credentials, self.key_pair, hello, body, record[18]
        )
        self.handshake.alter = self.alter
        self.handshake.after = self.after
        self.handshake.more = self.more
        asyncio.create_task(self.run(self.handshake))

    async def run(self, handshake):
        try:
            await handshake.run()
            handshake.conclude()
        except OSError as error:
            self.error = error


async def refused(forger, code, within=100):
    """The server must answer this Forger's handshake with the alert `code`, `within` ms."""
    began = now()
    error = await forger.go()
    assert isinstance(error, Alert) and error.received and error.code == code, error
    assert since(began) < within
