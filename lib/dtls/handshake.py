"""What both roles of a handshake share: messages and their fragments, flights, their hashes, keys, Finished. A phase."""

import asyncio
from errno import ETIMEDOUT
from hashlib import sha256

from crypto import equal
from port import Event, const, create_task, phase, print_exception, reserve, ticks_diff, ticks_ms, wait_for

from dtls.alert import Alert
from dtls.wire import head, transmit, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_FINISHED = const(20)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_UNEXPECTED_MESSAGE = const(10)
_HANDSHAKE_FAILURE = const(40)
_BAD_CERTIFICATE = const(42)
_ILLEGAL_PARAMETER = const(47)
_ACCESS_DENIED = const(49)
_DECODE_ERROR = const(50)
_DECRYPT_ERROR = const(51)
_INTERNAL_ERROR = const(80)
_FATAL = const(2)
# Content types
_CHANGE_CIPHER_SPEC = const(20)
_HANDSHAKE = const(22)
_INBOX = const(16)  # records that wait while this side calculates: a flight with the longest message
_INBOX_BYTES = const(8192)
_FIRST_WAIT = const(1000)  # ms
_TRIES = const(6)  # the last after 31 s, given up after 51 s
_LONGEST_WAIT = const(20_000)
_LONGEST = const(120_000)  # ms, however busy the peer keeps this side


CURVE = b"\x03\x00\x17"  # a named curve: secp256r1
# Key exchange
_ECDHE = const(1)
_PSK = const(2)
_BY_CERTIFICATE = const(4)
# Cipher suites: number -> (key exchange, length of the CCM authenticator, or 0: CBC with HMAC-SHA256)
SUITES = {
    0xFF00: (_ECDHE, 0),  # ECDH_anon, AES_128_CBC_SHA256: a private number of OCF's
    0xC037: (_ECDHE | _PSK, 0),  # RFC 5489
    0xC0A8: (_PSK, 8),  # RFC 6655
    0xC0AE: (_ECDHE | _BY_CERTIFICATE, 8),  # RFC 7251
    0xC0AC: (_ECDHE | _BY_CERTIFICATE, 16),
}


class Handshake:
    """One handshake over `session`; `send(datagram, address)` is how anything leaves.

    The transport hands over records with `take`. A task of the handshake's own runs `run()` of a subclass, which is written
    as the protocol is drawn: it puts messages into a flight, transmits it, and expects the peer's. Alert says that it
    failed; OSError(ETIMEDOUT), that the peer no longer answers. `conclude()` follows, when the session may be.
    """

    epoch = 0  # that this side sends in now

    def __init__(self, session, send, hello=None):
        self.session = session
        self.hello = hello  # the ClientHello that a server answers
        self.began = ticks_ms()
        self.fresh()
        self.extended = False  # whether the master secret is that of RFC 7627
        self._send = send
        self._flight = []  # (content type, epoch, message)
        self._sent = None  # when the flight was transmitted; None while it is being made
        self._wait = _FIRST_WAIT
        self._tries = 0
        self._out = self._in = 0  # number of the next message to send, and to receive
        self._part = bytearray()  # what has come of the next message, from its beginning on
        self._whole = None  # (kind, length) of that message
        self._early = []  # [number, kind, body] of complete messages, later ones too
        self._inbox = []
        self._held = None  # a protected record that came before there were keys
        self._bad = False  # whether a Finished could not be read
        self._event = Event()

    def fresh(self):
        """What the hashes are of begins with the next message."""
        # One for the keys and a CertificateVerify, one for either Finished: a hash that was asked for takes no more, and
        # what goes on is not copied. The messages themselves would take kilobytes in one piece.
        self._hashes = [sha256(), sha256(), sha256()]

    def _hash(self, kind, number, body):
        """A message. A Finished is not in the hash that it has."""
        for state in self._hashes[1 if kind == _FINISHED else 0 :]:
            state.update(head(kind, number, len(body)))
            state.update(body)

    # Out

    def add(self, kind, body, epoch=0):
        """Put a message into the flight."""
        if self._sent is not None:
            self._flight = []
            self._sent = None
        self._hash(kind, self._out, body)
        self._flight.append((_HANDSHAKE, epoch, head(kind, self._out, len(body)) + body))
        self._out += 1

    def finish(self, label):
        """Put ChangeCipherSpec and Finished into the flight."""
        if self._sent is not None:
            self._flight = []
            self._sent = None
        self.epoch = 1
        self._flight.append((_CHANGE_CIPHER_SPEC, 0, b"\1"))
        self.add(_FINISHED, self._verify_data(label), 1)
        del self._hashes[0]

    def transmit(self):
        """Send the flight, perhaps again."""
        if self._sent is None:
            self._wait = _FIRST_WAIT
            self._tries = 0
        self._sent = ticks_ms()
        transmit(self.session, self._flight, self._send)

    def conclude(self):
        """Send what only a peer that was let in may have."""

    def derive(self, premaster, server):
        """The session's keys, and `digest` of all messages, once both sides' key exchange is among them."""
        self.digest = self._hashes.pop(0).digest()
        with phase("dtls.keys") as keys:
            keys.derive(self.session, premaster, self.digest if self.extended else None, server)
        self._master = self.session.master  # which the credentials may forget before the end
        if self._held:
            self._inbox.insert(0, self._held)
            self._held = None

    def _verify_data(self, label):
        digest = self._hashes[0].digest()
        with phase("dtls.keys") as keys:
            return keys.verify_data(self._master, label, digest)

    # In

    def take(self, record):
        """A record for this handshake, whatever it is. Those that are too many are forgotten."""
        inbox = self._inbox
        if len(inbox) < _INBOX and sum(map(len, inbox)) + len(record) <= _INBOX_BYTES:
            inbox.append(bytes(record))
            self._event.set()

    async def expect(self, *kinds):
        """(kind, body) of the next message, which must be one of `kinds`."""
        while True:
            for entry in self._early:
                if entry[0] == self._in:
                    number, kind, body = entry
                    self._early.remove(entry)
                    if kind not in kinds:
                        raise Alert(_UNEXPECTED_MESSAGE)
                    self._in += 1
                    self._part = bytearray()
                    self._hash(kind, number, body)
                    return kind, body
            await self._take_record(_FINISHED in kinds)

    async def finished(self, label):
        """Take the peer's Finished and check it."""
        _, body = await self.expect(_FINISHED)
        if not equal(body, self._verify_data(label)):
            raise Alert(_DECRYPT_ERROR)
        del self._hashes[0]

    async def _take_record(self, at_end):
        """Take one record in; meanwhile the flight is sent again whenever its time is over."""
        if ticks_diff(ticks_ms(), self.began) > _LONGEST:
            raise OSError(ETIMEDOUT)
        while not self._inbox:
            left = self._wait - ticks_diff(ticks_ms(), self._sent)
            if left <= 0:
                self._tries += 1
                if self._tries >= _TRIES:
                    raise OSError(ETIMEDOUT)
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
                self.transmit()
                continue
            self._event.clear()
            try:
                await wait_for(self._event.wait(), left / 1000)
            except asyncio.TimeoutError:
                pass
        with phase("dtls.inbox") as code:  # which is not in memory while anything is calculated
            code.put(self, self._inbox.pop(0), at_end)


async def agree(private, point):
    """The secret shared with the owner of `point` (uncompressed). Raises Alert when it is none of the curve."""
    if len(point) != 65 or point[0] != 4:
        raise Alert(_DECODE_ERROR)
    try:
        with phase("crypto.ecdh") as ecdh:
            return await ecdh.agree_async(private, point[1:])
    except ValueError:
        raise Alert(_ILLEGAL_PARAMETER)


# With certificates: what reads and writes the messages leaves memory before anything is calculated.


def certificates(use):
    """What `use` makes of the phase dtls.certificates."""
    with phase("dtls.certificates") as code:
        return use(code)


async def believed(credentials, message):
    """(public key, uuid) of the peer with this Certificate, [kind, body]; the key is None for a Client that may have none.

    The body is taken out of `message`: what follows needs all memory.
    """
    chain = certificates(lambda code: code.unpack(message.pop()))
    try:
        return await credentials.trust(chain)
    except ValueError:
        raise Alert(_BAD_CERTIFICATE if chain else _HANDSHAKE_FAILURE)


async def sign(private, digest):
    """The signature of what has this digest, as messages have it."""
    signature = await _signed(private, digest)
    return certificates(lambda code: code.signed(signature))


async def _signed(private, digest):
    with phase("crypto.ecdsa") as ecdsa:
        return await ecdsa.sign_async(private, digest)


async def verify(public, body, digest):
    """Check such a signature. Raises Alert."""
    signature = certificates(lambda code: code.signature(body))
    with phase("crypto.verify") as code:
        if not await code.verify_async(public, digest, signature):
            raise Alert(_DECRYPT_ERROR)


def premaster(shared, psk):
    """The premaster secret (RFC 4279 section 2, RFC 5489 section 2)."""
    if psk is None:
        return shared
    return vector(2, bytes(len(psk)) if shared is None else shared) + vector(2, psk)


# Handshakes of a transport


def begin(transport, handshake):
    """Have a handshake done, instead of another one with the same peer: [it, its task with an error or None]."""
    address = handshake.session.address
    transport.end_handshake(address)
    entry = transport.handshakes[address] = [handshake, create_task(conduct(transport, handshake))]
    return entry


def forget(transport, handshake):
    """It is over, or given up."""
    address = handshake.session.address
    entry = transport.handshakes.get(address)
    if entry and entry[0] is handshake:
        del transport.handshakes[address]
        entry.clear()  # who finds it yet, as the collector may, must not find the code of handshakes by it
    transport.rest()


async def conduct(transport, handshake):
    """Bring a handshake to its end; the error that it ended with, or None. Who cancels it forgets it, too."""
    session = handshake.session
    error = code = None
    try:
        await handshake.run()
        establish(transport, session)
        handshake.conclude()
    except OSError as caught:
        error = caught
        # By what it has: the class may have been loaded once more, in another phase.
        code = None if getattr(caught, "received", True) else getattr(caught, "code", None)
    except MemoryError as caught:
        reserve.let_go()  # for the next attempt
        error = caught
    except Exception as caught:  # noqa: BLE001 - an error of this side's must not end the endpoint
        code = _INTERNAL_ERROR
        try:
            print_exception(caught)
            error = OSError("the handshake failed")
        except MemoryError as caught:
            error = caught
    forget(transport, handshake)
    if error and session.open:  # it had been let in
        transport.drop(session)
    elif code:
        transport.alert(session, _FATAL, code, handshake.epoch)
    return error


def establish(transport, session):
    """Let the session in. Raises Alert when it must not be; then nobody else has lost anything by it."""
    sessions = transport.sessions
    old = sessions.get(session.address)
    full = not old and len(sessions) >= transport.limit
    able = [s for s in sessions.values() if not s.kept]
    if full and not able:
        raise Alert(_INTERNAL_ERROR)
    if transport.credentials.opened(session) is False:
        raise Alert(_ACCESS_DENIED)
    # First of all: what fails from now on closes it, and the credentials hear of that.
    session.open = True
    session.used = ticks_ms()
    sessions[session.address] = session
    if full:
        old = min(able, key=lambda s: ticks_diff(s.used, ticks_ms()))
    if old:
        transport.drop(old, full)  # not told when it has begun anew itself (RFC 6347 section 4.2.8)
