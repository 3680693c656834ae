"""The client's side of a handshake: part of the install phase on a device."""

from port import phase, urandom

from dtls.handshake import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, DECODE_ERROR, GROUPS,
    HANDSHAKE_FAILURE, HELLO_VERIFY_REQUEST, ILLEGAL_PARAMETER, MASTER_SECRET, POINT_FORMATS, RENEGOTIATION, RENEGOTIATION_SCSV, SERVER_HELLO,
    SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, SIGNATURES, UNEXPECTED_MESSAGE, UNKNOWN_PSK_IDENTITY, UNSUPPORTED_EXTENSION, Handshake, Reader,
    extensions, vector,
)  # fmt: skip
from dtls.record import CERTIFICATE as BY_CERTIFICATE
from dtls.record import ECDHE, PSK, SUITES, Alert
from dtls.server import CURVE, agree, premaster

# (number, data): the curve P-256, ECDSA with SHA-256, uncompressed points, the extended master secret
_EXTENSIONS = (
    (GROUPS, b"\0\2\0\x17"),
    (SIGNATURES, b"\0\2\4\3"),
    (POINT_FORMATS, b"\1\0"),
    (MASTER_SECRET, b""),
)


class ClientHandshake(Handshake):
    """A handshake with the server at `session.address`."""

    def __init__(self, session, send, credentials, key_pair):
        super().__init__(session, send)
        self._credentials = credentials
        self._key_pair = key_pair

    async def run(self):
        """From the first ClientHello to both Finished."""
        session = self.session
        await self._greet()
        kind = SUITES[session.suite][0]
        if kind & BY_CERTIFICATE:
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
        suites = vector(2, *(n.to_bytes(2, "big") for n in offered), RENEGOTIATION_SCSV.to_bytes(2, "big"))
        parts = vector(2, *(n.to_bytes(2, "big") + vector(2, data) for n, data in _EXTENSIONS))
        cookie = b""
        while True:
            hello = b"".join((b"\xfe\xfd", random, b"\0", vector(1, cookie), suites, b"\1\0", parts))
            self.add(CLIENT_HELLO, hello)
            self.transmit()
            kind, body = await self.expect(*(SERVER_HELLO,) if cookie else (HELLO_VERIFY_REQUEST, SERVER_HELLO))
            reader = Reader(body)
            version = reader.take(2)
            if kind == SERVER_HELLO:
                break
            cookie = reader.vector(1)
            reader.end()
            self.transcript = bytearray()
            if not cookie:
                raise Alert(ILLEGAL_PARAMETER)
        session.randoms = reader.take(32) + random
        reader.vector(1)
        session.suite = reader.number(2)
        if version != b"\xfe\xfd" or session.suite not in offered or reader.number(1):
            raise Alert(ILLEGAL_PARAMETER)
        for number, _ in extensions(reader):
            if number == MASTER_SECRET:
                self.extended = True
            elif number not in (POINT_FORMATS, RENEGOTIATION):
                raise Alert(UNSUPPORTED_EXTENSION)

    async def _answer(self, kind, certificates):
        """Take the rest of the server's flight, and answer it up to the keys."""
        session = self.session
        credentials = self._credentials
        key = chain = None
        identity = psk = b""
        if certificates:
            _, body = await self.expect(CERTIFICATE)
            key, session.uuid = await certificates.peer(credentials, body)
        number, body = await self.expect(SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE)
        hint = point = b""
        if number == SERVER_KEY_EXCHANGE:
            reader = Reader(body)
            if kind & PSK:
                hint = reader.vector(2)
            if kind & ECDHE:
                if reader.take(3) != CURVE:
                    raise Alert(HANDSHAKE_FAILURE)
                point = reader.vector(1)
            if certificates:
                params = CURVE + vector(1, point)
                await certificates.verify(key, body[len(params) :], session.randoms[32:], session.randoms[:32], params)
            else:
                reader.end()
            number, body = await self.expect(SERVER_HELLO_DONE, *(CERTIFICATE_REQUEST,) if certificates else ())
        elif kind != PSK:
            raise Alert(UNEXPECTED_MESSAGE)
        if number == CERTIFICATE_REQUEST:
            chain, private_key = credentials.certificate() or ((), None)
            _, body = await self.expect(SERVER_HELLO_DONE)
        if body:
            raise Alert(DECODE_ERROR)
        if kind & PSK:
            found = credentials.psk_for(hint, session.address)
            if found is None:
                raise Alert(UNKNOWN_PSK_IDENTITY)
            identity, psk, session.uuid = found
        parts = [vector(2, identity)] if kind & PSK else []
        shared = None
        if kind & ECDHE:
            private, public = await self._key_pair()
            shared = await agree(private, point)
            parts.append(vector(1, b"\4", public))
        if chain is not None:
            self.add(CERTIFICATE, certificates.pack(chain))
        self.add(CLIENT_KEY_EXCHANGE, b"".join(parts))
        self.derive(premaster(shared, psk if kind & PSK else None), False)
        if chain:
            self.add(CERTIFICATE_VERIFY, await certificates.sign(private_key, self.transcript))
