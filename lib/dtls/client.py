"""The client's side of a handshake: part of the install phase on a device."""

from asyncio import CancelledError, TimeoutError, wait_for
from errno import ETIMEDOUT
from hashlib import sha256

from port import const, phase

from dtls.alert import Alert
from dtls.handshake import (
    CURVE,
    SUITES,
    Handshake,
    agree,
    begin,
    believed,
    certificates,
    forget,
    premaster,
    sign,
    verify,
)
from dtls.record import Session
from dtls.wire import Reader, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CERTIFICATE = const(11)
_SERVER_KEY_EXCHANGE = const(12)
_CERTIFICATE_REQUEST = const(13)
_SERVER_HELLO_DONE = const(14)
_CERTIFICATE_VERIFY = const(15)
_CLIENT_KEY_EXCHANGE = const(16)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_UNEXPECTED_MESSAGE = const(10)
_HANDSHAKE_FAILURE = const(40)
_DECODE_ERROR = const(50)
_UNKNOWN_PSK_IDENTITY = const(115)
# Key exchange
_ECDHE = const(1)
_PSK = const(2)
_BY_CERTIFICATE = const(4)


async def connect(transport, address, timeout_ms):
    """As DtlsTransport.connect."""
    session = Session(address)
    handshake = ClientHandshake(session, transport.datagrams.send, transport.credentials, transport.key_pair)
    entry = begin(transport, handshake)
    error = OSError(ETIMEDOUT)
    try:
        error = await wait_for(entry[1], timeout_ms / 1000)
    except TimeoutError:
        pass
    except CancelledError:
        if not entry or transport.handshakes.get(address) is entry:  # else the handshake had to make place for another
            raise
    finally:
        forget(transport, handshake)
        if error:
            transport.drop(session)  # it may have been let in at the last moment
    if error:
        raise error
    return session


class ClientHandshake(Handshake):
    """A handshake with the server at `session.address`."""

    def __init__(self, session, send, credentials, key_pair):
        super().__init__(session, send)
        self.credentials = credentials
        self._key_pair = key_pair
        self._greeting = None  # the phase dtls.greeting, and what that keeps here: until the server has chosen
        self.cookie = self.offer = None

    async def run(self):
        """From the first ClientHello to both Finished."""
        session = self.session
        await self._greet()
        await self._answer(SUITES[session.suite][0])
        self.finish(b"client finished")
        self.transmit()
        await self.finished(b"server finished")

    async def _greet(self):
        """ClientHello, again with the cookie, until the server has chosen."""
        with phase("dtls.greeting") as self._greeting:
            try:
                await self._greeting.greet(self)
            finally:
                self._greeting = None

    def take(self, record):
        """As any handshake does; but a server that has not chosen may ask for another cookie."""
        if not (self._greeting and self._greeting.again(self, record)):
            super().take(record)

    async def _answer(self, kind):
        """Take the rest of the server's flight, and answer it up to the keys."""
        session = self.session
        credentials = self.credentials
        key = chain = None
        identity = psk = b""
        if kind & _BY_CERTIFICATE:
            key, session.uuid = await believed(credentials, list(await self.expect(_CERTIFICATE)))
            if not key:
                raise Alert(_HANDSHAKE_FAILURE)
        number, body = await self.expect(_SERVER_KEY_EXCHANGE, _SERVER_HELLO_DONE)
        hint = point = b""
        if number == _SERVER_KEY_EXCHANGE:
            reader = Reader(body)
            if kind & _PSK:
                hint = reader.vector(2)
            if kind & _ECDHE:
                if reader.take(3) != CURVE:
                    raise Alert(_HANDSHAKE_FAILURE)
                point = reader.vector(1)
            if key:
                params = CURVE + vector(1, point)
                randoms = session.randoms[32:] + session.randoms[:32]
                await verify(key, body[len(params) :], sha256(randoms + params).digest())
            else:
                reader.end()
            number, body = await self.expect(_SERVER_HELLO_DONE, *(_CERTIFICATE_REQUEST,) if key else ())
        elif kind != _PSK:
            raise Alert(_UNEXPECTED_MESSAGE)
        if number == _CERTIFICATE_REQUEST:
            chain, private_key = credentials.certificate() or ((), None)
            _, body = await self.expect(_SERVER_HELLO_DONE)
        if body:
            raise Alert(_DECODE_ERROR)
        if kind & _PSK:
            found = credentials.psk_for(hint, session.address)
            if found is None:
                raise Alert(_UNKNOWN_PSK_IDENTITY)
            identity, psk, session.uuid = found
        parts = [vector(2, identity)] if kind & _PSK else []
        shared = None
        if kind & _ECDHE:
            private, public = await self._key_pair()
            shared = await agree(private, point)
            parts.append(vector(1, b"\4", public))
        if chain is not None:
            self.add(_CERTIFICATE, certificates(lambda code: code.pack(chain)))
        self.add(_CLIENT_KEY_EXCHANGE, b"".join(parts))
        self.derive(premaster(shared, psk if kind & _PSK else None), False)
        if chain:
            self.add(_CERTIFICATE_VERIFY, await sign(private_key, self.digest))
