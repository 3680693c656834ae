"""DTLS over datagrams, as a transport of `coap`: many peers on one socket, each a Session.

Handshakes are a phase: their code is in memory while there is one, and while a key is made ahead. What looks at a
ClientHello is another, and stays for a while: strangers may send many, and must not have it loaded for each.
"""

import asyncio

from port import collect, const, phase, print_exception, reserve, sleep_ms, ticks_diff, ticks_ms, urandom

import dtls.alert  # noqa: F401 - stays: phases overlap, and must all know the same Alert
from dtls.record import records

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CLIENT_HELLO = const(1)
# Alerts (RFC 5246 section 7.2)
_CLOSE_NOTIFY = const(0)
_FATAL = const(2)
# Content types
_ALERT = const(21)
_HANDSHAKE = const(22)
_APPLICATION = const(23)

_HEADER = const(13)
_BODY = const(25)  # where the body of a handshake message begins in its record
_IDLE = const(600_000)  # ms until a silent session is given up
_IDLE_KEPT = const(120_000)  # the same, where it keeps others out
_TEND = const(100)
_AGAIN = const(300)
_QUIET = const(1000)  # ms without a ClientHello until the code for it goes


class DtlsTransport:
    """A transport (docs/architecture.md) over the transport in the clear `datagrams`.

    `credentials` knows the keys (docs/architecture.md). `server`: whether ClientHellos are answered. At most `limit`
    sessions are open: the one that was silent for longest makes place, unless it is `kept`. `closed`, when set, is called
    with every session that is gone. `places`: how many handshakes there may be at a time.
    """

    secure = True
    closed = None
    places = 3

    def __init__(self, datagrams, credentials, server=True, limit=6):
        self.sessions = {}  # address -> Session
        self.datagrams = datagrams
        self.credentials = credentials
        self.secret = urandom(32) if server else None  # of its cookies
        self.limit = limit
        self.handshakes = {}  # address -> [Handshake, its task]
        self.code = self.server = None  # the phase of the server's handshakes, and its module
        self._hellos = self._cookie = None  # the same for ClientHellos
        self._heard = 0  # when the last one came
        self._ready = []  # (data, session) that are not delivered yet
        self._key = None  # an ephemeral key made ahead
        self._task = None

    # As a transport

    async def receive(self):
        """The next (data, session, False) of a peer that has finished its handshake."""
        if not self._task:
            self._task = asyncio.create_task(self._tend())
        while not self._ready:
            self._took(*await self.datagrams.receive())  # nothing here keeps a datagram until the next
        return self._ready.pop(0) + (False,)

    def _took(self, data, address, multicast):
        if not multicast:
            try:
                self._take(data, address)
            except MemoryError:
                if not reserve.let_go():
                    raise
                self._take(data, address)  # a record that was taken is not new any more

    def send(self, data, session):
        """Send to a peer; nothing, when its session is gone."""
        if session.open:
            try:
                record = session.seal(_APPLICATION, data)
            except MemoryError:
                reserve.let_go()
                record = session.seal(_APPLICATION, data)  # by another number
            self.datagrams.send(record, session.address)

    def identity(self, session):
        """The authenticated name of a peer (its UUID), None when it is anonymous."""
        return session.uuid if session.open else None

    def close(self):
        """Close every session and the socket."""
        try:
            self.drop_all()
            for address in list(self.handshakes):
                self.end_handshake(address)
            self.rest()
        finally:  # also where there is no memory for that
            if self._task:
                self._task.cancel()
            self.datagrams.close()

    # Sessions

    async def connect(self, address, timeout_ms=20_000):
        """A Session with the server at `address`. Raises OSError (Alert when one side refuses, ETIMEDOUT), MemoryError."""
        if self._key is None:
            self._key = await self.key_pair()  # while there is no other code
        with phase("dtls.client") as client:
            return await client.connect(self, address, timeout_ms)

    def drop(self, session, alert=True):
        """Close `session`; the peer is told with close_notify unless `alert` is false."""
        if self.sessions.get(session.address) is session:
            del self.sessions[session.address]
        if session.open:
            try:
                if alert:
                    self.alert(session, 1, _CLOSE_NOTIFY, 1)
            except MemoryError:
                collect()  # not told, but closed
            session.close()
            self.credentials.closed(session)
            if self.closed:
                self.closed(session)

    def drop_all(self, but=None):
        """Close all sessions, save those of which `but(session)` is true."""
        for session in list(self.sessions.values()):
            if not (but and but(session)):
                self.drop(session)

    # Datagrams in

    def _take(self, datagram, address):
        for record in records(datagram):
            content = record[0]
            epoch = record[3] << 8 | record[4]
            entry = self.handshakes.get(address)
            session = self.sessions.get(address)
            if epoch == 0 and content == _HANDSHAKE and len(record) > _BODY and record[_HEADER] == _CLIENT_HELLO:
                if self.secret:
                    self._hello(record, address)
                continue
            data = session.unseal(record) if session and epoch == 1 else None
            if data is not None:
                self._content(session, content, data)
            elif entry and not (session and epoch == 1 and content != _HANDSHAKE):
                entry[0].take(record)
            elif session and epoch == 0 and content == _HANDSHAKE:
                self._repeat(session)

    def _content(self, session, content, data):
        session.used = ticks_ms()
        if content == _APPLICATION:
            session.last = None
            self._ready.append((data, session))
        elif content == _HANDSHAKE:  # Finished once more, or a renegotiation, which is not to be had
            self._repeat(session)
        elif content == _ALERT and len(data) == 2 and (data[0] == _FATAL or data[1] == _CLOSE_NOTIFY):
            self.drop(session, data[1] == _CLOSE_NOTIFY)

    def _repeat(self, session):
        """The peer does not have the end of the handshake: send it again."""
        if session.last and ticks_diff(ticks_ms(), session.last[0]) >= _AGAIN:
            session.last = ticks_ms(), session.last[1]
            with phase("dtls.wire") as wire:
                wire.transmit(session, session.last[1], self.datagrams.send)

    def _hello(self, record, address):
        self._heard = ticks_ms()
        if self._hellos is None:
            hellos = phase("dtls.cookie")
            self._cookie = hellos.__enter__()
            self._hellos = hellos
        self._cookie.take(self, record, address)

    # Handshakes

    def end_handshake(self, address):
        """Give up the handshake with the peer at `address`, if there is one."""
        entry = self.handshakes.pop(address, None)
        if entry:
            entry[1].cancel()

    def rest(self):
        """The code of the server's handshakes leaves memory when there are none, that for ClientHellos some time later."""
        if self.handshakes:
            return
        if self.code:
            code, self.code, self.server = self.code, None, None
            code.__exit__()
            reserve.__exit__()
        elif self._hellos and not 0 <= ticks_diff(ticks_ms(), self._heard) < _QUIET:
            code, self._hellos, self._cookie = self._hellos, None, None
            code.__exit__()

    def alert(self, session, level, code, epoch):
        """Send an alert."""
        self.datagrams.send(session.seal(_ALERT, bytes((level, code)), epoch), session.address)

    # What is done meanwhile

    async def key_pair(self):
        """An ephemeral key, used once: the one made ahead, if there is one."""
        key, self._key = self._key, None
        if key is None:
            with phase("crypto.p256") as p256:
                key = await p256.key_pair_async(urandom)
        return key

    async def _tend(self):
        """Give up sessions whose peer is silent, and make a key ahead where Clients may come."""
        while True:
            try:
                now = ticks_ms()
                for session in list(self.sessions.values()):
                    if ticks_diff(now, session.used) > (_IDLE_KEPT if session.kept else _IDLE):
                        self.drop(session)
                if self._key is None and self.secret and not self.handshakes and not reserve.lent:
                    self._key = await self.key_pair()
            except MemoryError:
                collect()
            except Exception as error:  # noqa: BLE001 - the silent would keep others out for ever
                print_exception(error)
            self.rest()  # when the last handshake did not end, but was ended
            await sleep_ms(_TEND)
