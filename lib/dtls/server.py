"""The server's side of a handshake (RFC 5246 section 7, RFC 4279, 5489, 7251; OCF's anonymous suite)."""

from crypto.p256 import agree_async
from port import phase, urandom

from dtls.handshake import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, DECODE_ERROR, HANDSHAKE_FAILURE,
    ILLEGAL_PARAMETER, MASTER_SECRET, POINT_FORMATS, RENEGOTIATION, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
    UNKNOWN_PSK_IDENTITY, Handshake, Reader, message, vector,
)  # fmt: skip
from dtls.record import CERTIFICATE as BY_CERTIFICATE
from dtls.record import ECDHE, PSK, SUITES, Alert

CURVE = b"\x03\x00\x17"  # a named curve: secp256r1


class ServerHandshake(Handshake):
    """A handshake that a ClientHello with a good cookie has begun.

    `credentials` as in docs/architecture.md; `key_pair()` is a coroutine that gives an ephemeral key.
    """

    def __init__(self, session, send, credentials, key_pair, hello, body, number):
        super().__init__(session, send)
        self.hello = hello
        self._credentials = credentials
        self._key_pair = key_pair
        self._in = number + 1
        self._out = number
        self.transcript.extend(message(CLIENT_HELLO, number, body))

    async def run(self):
        """From the ServerHello to both Finished."""
        session = self.session
        hello = self.hello
        credentials = self._credentials
        suite = hello.choose(credentials.suites())
        if suite is None:
            raise Alert(HANDSHAKE_FAILURE)
        session.suite = suite
        kind = SUITES[suite][0]
        private = public = None
        if kind & ECDHE:
            private, public = await self._key_pair()
        if kind & BY_CERTIFICATE:
            with phase("dtls.certificates") as certificates:
                self._greet(kind)
                chain, key = credentials.certificate()
                self.add(CERTIFICATE, certificates.pack(chain))
                point = CURVE + vector(1, b"\4", public)
                signature = await certificates.sign(key, session.randoms[32:], session.randoms[:32], point)
                self.add(SERVER_KEY_EXCHANGE, point + signature)
                self.add(CERTIFICATE_REQUEST, certificates.REQUEST)
                await self._receive_client(kind, private, certificates)
        else:
            self._greet(kind)
            parts = [vector(2, credentials.hint())] if kind & PSK else []
            if kind & ECDHE:
                parts.append(CURVE + vector(1, b"\4", public))
            self.add(SERVER_KEY_EXCHANGE, b"".join(parts))
            await self._receive_client(kind, private, None)
        await self.finished(b"client finished")
        self.finish(b"server finished")
        self.transmit()
        session.last = self._sent, self._flight

    def _greet(self, kind):
        """ServerHello."""
        session = self.session
        hello = self.hello
        session.randoms = urandom(32) + hello.random
        self.extended = hello.extended
        parts = []
        if hello.renegotiation:
            parts.append(_extension(RENEGOTIATION, b"\0"))
        if hello.extended:
            parts.append(_extension(MASTER_SECRET, b""))
        if hello.formats and kind & ECDHE:
            parts.append(_extension(POINT_FORMATS, b"\1\0"))
        body = [b"\xfe\xfd", session.randoms[:32], b"\0", session.suite.to_bytes(2, "big"), b"\0"]
        if parts:
            body.append(vector(2, *parts))
        self.add(SERVER_HELLO, b"".join(body))

    async def _receive_client(self, kind, private, certificates):
        """Close the flight and take what the Client answers, up to the keys."""
        session = self.session
        self.add(SERVER_HELLO_DONE, b"")
        self.transmit()
        key = None
        if certificates:
            _, body = await self.expect(CERTIFICATE)
            key, session.uuid = await certificates.peer(self._credentials, body)
        _, body = await self.expect(CLIENT_KEY_EXCHANGE)
        reader = Reader(body)
        psk = None
        if kind & PSK:
            found = self._credentials.psk(reader.vector(2))
            if found is None:
                raise Alert(UNKNOWN_PSK_IDENTITY)
            psk, session.uuid = found
        shared = await agree(private, reader.vector(1)) if kind & ECDHE else None
        reader.end()
        self.derive(premaster(shared, psk), True)
        if certificates:
            _, body = await self.expect(CERTIFICATE_VERIFY)
            await certificates.verify(key, body, self.before())


def _extension(number, data):
    return number.to_bytes(2, "big") + vector(2, data)


async def agree(private, point):
    """The secret shared with the owner of `point` (uncompressed). Raises Alert when it is none of the curve."""
    if len(point) != 65 or point[0] != 4:
        raise Alert(DECODE_ERROR)
    try:
        return await agree_async(private, point[1:])
    except ValueError:
        raise Alert(ILLEGAL_PARAMETER)


def premaster(shared, psk):
    """The premaster secret (RFC 4279 section 2, RFC 5489 section 2)."""
    if psk is None:
        return shared
    return vector(2, bytes(len(psk)) if shared is None else shared) + vector(2, psk)
