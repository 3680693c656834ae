"""The server's side of a handshake (RFC 5246 section 7, RFC 4279, 5489, 7251; OCF's anonymous suite). A phase."""

from hashlib import sha256

from port import const, phase, ticks_diff, ticks_ms, urandom

from dtls.alert import Alert
from dtls.cookie import Opening
from dtls.handshake import CURVE, SUITES, Handshake, agree, begin, believed, certificates, premaster, sign, verify
from dtls.wire import Reader, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CLIENT_HELLO = const(1)
_SERVER_HELLO = const(2)
_CERTIFICATE = const(11)
_SERVER_KEY_EXCHANGE = const(12)
_CERTIFICATE_REQUEST = const(13)
_SERVER_HELLO_DONE = const(14)
_CERTIFICATE_VERIFY = const(15)
_CLIENT_KEY_EXCHANGE = const(16)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_HANDSHAKE_FAILURE = const(40)
_UNKNOWN_PSK_IDENTITY = const(115)
_FATAL = const(2)
# Extensions, and what is in them
_POINT_FORMATS = const(11)
_MASTER_SECRET = const(23)
_RENEGOTIATION = const(0xFF01)
# Key exchange
_ECDHE = const(1)
_PSK = const(2)
_BY_CERTIFICATE = const(4)


_PATIENCE = const(5000)  # ms that a handshake may take before another one may have its place


def answer(transport, session, body, number):
    """Begin a handshake for the ClientHello in `body`, which had a good cookie, if there is a suite and a place for it.

    `number` is that of the message.
    """
    credentials = transport.credentials
    with phase("dtls.hello") as code:
        hello = code.ClientHello(body)
        if hello.choose(credentials.suites()) is None:
            transport.alert(session, _FATAL, _HANDSHAKE_FAILURE, 0)
        elif _place(transport, session.address):
            send = transport.datagrams.send
            begin(transport, ServerHandshake(session, send, credentials, transport.key_pair, hello, body, number))


def _place(transport, address):
    """Whether there is, or can be made, a place for another handshake."""
    handshakes = transport.handshakes
    if len(handshakes) < transport.places or address in handshakes:
        return True
    oldest = min(handshakes, key=lambda a: ticks_diff(handshakes[a][0].began, ticks_ms()))
    if ticks_diff(ticks_ms(), handshakes[oldest][0].began) < _PATIENCE:
        return False
    transport.end_handshake(oldest)
    return True


class ServerHandshake(Handshake):
    """A handshake that a ClientHello with a good cookie has begun.

    `hello` is it (dtls.hello); `credentials` as in docs/architecture.md; `key_pair()` is a coroutine that gives an
    ephemeral key.
    """

    def __init__(self, session, send, credentials, key_pair, hello, body, number):
        super().__init__(session, send, Opening(body))  # nothing keeps the code of `hello` in memory
        session.suite = hello.choose(credentials.suites())
        self.extended = hello.extended
        self._renegotiation, self._formats = hello.renegotiation, hello.formats
        self._credentials = credentials
        self._key_pair = key_pair
        self._in = number + 1
        self._out = number
        self._hash(_CLIENT_HELLO, number, body)

    async def run(self):
        """From the ServerHello to the Client's Finished."""
        session = self.session
        credentials = self._credentials
        if session.suite is None:
            raise Alert(_HANDSHAKE_FAILURE)
        kind = SUITES[session.suite][0]
        private = public = None
        if kind & _ECDHE:
            private, public = await self._key_pair()
        self._greet(kind)
        if kind & _BY_CERTIFICATE:
            chain, key = credentials.certificate()
            self.add(_CERTIFICATE, certificates(lambda code: code.pack(chain)))
            point = CURVE + vector(1, b"\4", public)
            signature = await sign(key, sha256(session.randoms[32:] + session.randoms[:32] + point).digest())
            self.add(_SERVER_KEY_EXCHANGE, point + signature)
            self.add(_CERTIFICATE_REQUEST, certificates(lambda code: code.REQUEST))
        else:
            parts = [vector(2, credentials.hint())] if kind & _PSK else []
            if kind & _ECDHE:
                parts.append(CURVE + vector(1, b"\4", public))
            self.add(_SERVER_KEY_EXCHANGE, b"".join(parts))
        await self._receive_client(kind, private)
        await self.finished(b"client finished")

    def conclude(self):
        """ChangeCipherSpec and Finished."""
        self.finish(b"server finished")
        self.transmit()
        self.session.last = self._sent, self._flight

    def _greet(self, kind):
        """ServerHello."""
        session = self.session
        session.randoms = urandom(32) + self.hello.random
        parts = []
        if self._renegotiation:
            parts.append(_extension(_RENEGOTIATION, b"\0"))
        if self.extended:
            parts.append(_extension(_MASTER_SECRET, b""))
        if self._formats and kind & _ECDHE:
            parts.append(_extension(_POINT_FORMATS, b"\1\0"))
        body = [b"\xfe\xfd", session.randoms[:32], b"\0", session.suite.to_bytes(2, "big"), b"\0"]
        if parts:
            body.append(vector(2, *parts))
        self.add(_SERVER_HELLO, b"".join(body))

    async def _receive_client(self, kind, private):
        """Close the flight and take what the Client answers, up to the keys."""
        session = self.session
        self.add(_SERVER_HELLO_DONE, b"")
        self.transmit()
        key = None
        if kind & _BY_CERTIFICATE:
            key, session.uuid = await believed(self._credentials, list(await self.expect(_CERTIFICATE)))
        _, body = await self.expect(_CLIENT_KEY_EXCHANGE)
        reader = Reader(body)
        psk = None
        if kind & _PSK:
            found = self._credentials.psk(reader.vector(2))
            if found is None:
                raise Alert(_UNKNOWN_PSK_IDENTITY)
            psk, session.uuid = found
            session.psk = psk
        shared = await agree(private, reader.vector(1)) if kind & _ECDHE else None
        reader.end()
        self.derive(premaster(shared, psk), True)
        if key:
            _, body = await self.expect(_CERTIFICATE_VERIFY)
            await verify(key, body, self.digest)


def _extension(number, data):
    return number.to_bytes(2, "big") + vector(2, data)
