"""The client's side of a handshake: part of the install phase on a device."""

from asyncio import CancelledError, TimeoutError, wait_for
from errno import ETIMEDOUT

from port import const, phase, urandom

from dtls.alert import Alert
from dtls.handshake import CURVE, Handshake, agree, begin, forget, premaster
from dtls.record import Session
from dtls.suites import SUITES
from dtls.wire import Reader, extensions, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CLIENT_HELLO = const(1)
_SERVER_HELLO = const(2)
_HELLO_VERIFY_REQUEST = const(3)
_CERTIFICATE = const(11)
_SERVER_KEY_EXCHANGE = const(12)
_CERTIFICATE_REQUEST = const(13)
_SERVER_HELLO_DONE = const(14)
_CERTIFICATE_VERIFY = const(15)
_CLIENT_KEY_EXCHANGE = const(16)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_UNEXPECTED_MESSAGE = const(10)
_HANDSHAKE_FAILURE = const(40)
_ILLEGAL_PARAMETER = const(47)
_DECODE_ERROR = const(50)
_UNSUPPORTED_EXTENSION = const(110)
_UNKNOWN_PSK_IDENTITY = const(115)
# Extensions, and what is in them
_GROUPS = const(10)
_POINT_FORMATS = const(11)
_SIGNATURES = const(13)
_MASTER_SECRET = const(23)
_RENEGOTIATION = const(0xFF01)
_RENEGOTIATION_SCSV = const(0x00FF)
_COOKIE = const(28)  # where the cookie begins in the record of a HelloVerifyRequest
_IN_VAIN = const(2)  # times that ClientHello was sent again before another cookie is taken
# Key exchange
_ECDHE = const(1)
_PSK = const(2)
_BY_CERTIFICATE = const(4)

# (number, data): the curve P-256, ECDSA with SHA-256, uncompressed points, the extended master secret
_EXTENSIONS = (
    (_GROUPS, b"\0\2\0\x17"),
    (_SIGNATURES, b"\0\2\4\3"),
    (_POINT_FORMATS, b"\1\0"),
    (_MASTER_SECRET, b""),
)
_VERIFY = b"\x16\xfe\xfd\0\0\3"  # of a record: content type, version, epoch; and of a message: HelloVerifyRequest


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
        if transport.handshakes.get(address) is entry:  # else the handshake had to make place for another
            raise
    finally:
        forget(transport, handshake)
    if error:
        raise error
    return session


class ClientHandshake(Handshake):
    """A handshake with the server at `session.address`."""

    def __init__(self, session, send, credentials, key_pair):
        super().__init__(session, send)
        self._credentials = credentials
        self._key_pair = key_pair
        self._hello = None  # what comes before and after the cookie, until the server has chosen
        self._cookie = b""

    async def run(self):
        """From the first ClientHello to both Finished."""
        session = self.session
        await self._greet()
        kind = SUITES[session.suite][0]
        if kind & _BY_CERTIFICATE:
            with phase("dtls.certificates") as certificates:
                await self._answer(kind, certificates)
        else:
            await self._answer(kind, None)
        self.finish(b"client finished")
        self.transmit()
        await self.finished(b"server finished")

    async def _greet(self):
        """ClientHello, again with the cookie, until the server has chosen."""
        session = self.session
        random = urandom(32)
        offered = self._credentials.suites()
        suites = vector(2, *(n.to_bytes(2, "big") for n in offered), _RENEGOTIATION_SCSV.to_bytes(2, "big"))
        parts = vector(2, *(n.to_bytes(2, "big") + vector(2, data) for n, data in _EXTENSIONS))
        self._hello = b"\xfe\xfd" + random + b"\0", suites + b"\1\0" + parts
        self._ask(b"")
        kind, body = await self.expect(_HELLO_VERIFY_REQUEST, _SERVER_HELLO)
        if kind == _HELLO_VERIFY_REQUEST:
            reader = Reader(body)
            reader.take(2)
            cookie = reader.vector(1)
            reader.end()
            if not cookie:
                raise Alert(_ILLEGAL_PARAMETER)
            self._ask(cookie)
            _, body = await self.expect(_SERVER_HELLO)
        self._hello = None
        reader = Reader(body)
        version = reader.take(2)
        session.randoms = reader.take(32) + random
        reader.vector(1)
        session.suite = reader.number(2)
        if version != b"\xfe\xfd" or session.suite not in offered or reader.number(1):
            raise Alert(_ILLEGAL_PARAMETER)
        for number, data in extensions(reader):
            if number == _MASTER_SECRET:
                self.extended = True
            elif number == _RENEGOTIATION:
                if data != b"\0":
                    raise Alert(_HANDSHAKE_FAILURE)
            elif number != _POINT_FORMATS:
                raise Alert(_UNSUPPORTED_EXTENSION)

    def _ask(self, cookie):
        """Send ClientHello with `cookie`."""
        self._cookie = cookie
        self._out = 1 if cookie else 0
        self.transcript = bytearray()
        self.add(_CLIENT_HELLO, vector(1, cookie).join(self._hello))
        self.transmit()

    def take(self, record):
        """As any handshake does; but a server that does not choose may ask for another cookie.

        The first was not this server's, or has changed under way, or was for who was at this address before. It is not
        taken at once: the server may choose in answer to the first yet, and then the transcript must have that.
        """
        if not (self._hello and self._cookie) or bytes(record[:5]) + bytes(record[13:14]) != _VERIFY:
            super().take(record)
        elif self._tries >= _IN_VAIN and not self._inbox and len(record) > _COOKIE:
            cookie = bytes(record[_COOKIE:])
            if record[_COOKIE - 1] == len(cookie) and cookie != self._cookie:
                self._ask(cookie)

    async def _answer(self, kind, certificates):
        """Take the rest of the server's flight, and answer it up to the keys."""
        session = self.session
        credentials = self._credentials
        key = chain = None
        identity = psk = b""
        if certificates:
            _, body = await self.expect(_CERTIFICATE)
            key, session.uuid = await certificates.peer(credentials, body)
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
            if certificates:
                params = CURVE + vector(1, point)
                await certificates.verify(key, body[len(params) :], session.randoms[32:], session.randoms[:32], params)
            else:
                reader.end()
            number, body = await self.expect(_SERVER_HELLO_DONE, *(_CERTIFICATE_REQUEST,) if certificates else ())
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
            self.add(_CERTIFICATE, certificates.pack(chain))
        self.add(_CLIENT_KEY_EXCHANGE, b"".join(parts))
        self.derive(premaster(shared, psk if kind & _PSK else None), False)
        if chain:
            self.add(_CERTIFICATE_VERIFY, await certificates.sign(private_key, self.transcript))
