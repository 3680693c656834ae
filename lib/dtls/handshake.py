"""What both roles of a handshake share: messages and their fragments, flights, the transcript, keys, Finished. A phase."""

import asyncio
from errno import ETIMEDOUT
from hashlib import sha256

from crypto import equal
from port import const, phase, print_exception, reserve, ticks_diff, ticks_ms, wait_for

from dtls.alert import Alert
from dtls.wire import message, transmit, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CERTIFICATE = const(11)
_CERTIFICATE_REQUEST = const(13)
_FINISHED = const(20)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_CLOSE_NOTIFY = const(0)
_UNEXPECTED_MESSAGE = const(10)
_BAD_RECORD_MAC = const(20)
_ILLEGAL_PARAMETER = const(47)
_ACCESS_DENIED = const(49)
_DECODE_ERROR = const(50)
_DECRYPT_ERROR = const(51)
_INTERNAL_ERROR = const(80)
_FATAL = const(2)
# Content types
_CHANGE_CIPHER_SPEC = const(20)
_ALERT = const(21)
_HANDSHAKE = const(22)
_HEADER = const(13)  # of a record
_HEAD = const(12)  # of a handshake message
_LARGEST = const(6144)  # bytes of a message that has a chain of certificates, or names of authorities
_LARGE = const(1536)  # of every other
_INBOX = const(16)  # records that wait while this side calculates: a flight with the longest message
_INBOX_BYTES = const(8192)
_EARLY = const(3)  # messages kept that came before their turn
_EARLY_BYTES = const(2048)
_FIRST_WAIT = const(1000)  # ms
_TRIES = const(6)  # the last after 31 s, given up after 51 s
_LONGEST_WAIT = const(20_000)
_LONGEST = const(120_000)  # ms, however busy the peer keeps this side
_AGAIN = const(300)  # ms between two transmissions of a flight that the peer asks for


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
        self.transcript = bytearray()
        self.extended = False  # whether the master secret is that of RFC 7627
        self._send = send
        self._flight = []  # (content type, epoch, message)
        self._sent = None  # when the flight was transmitted; None while it is being made
        self._wait = _FIRST_WAIT
        self._tries = 0
        self._out = self._in = 0  # number of the next message to send, and to receive
        self._before = 0  # length of the transcript without the message received last
        self._part = bytearray()  # what has come of the next message, from its beginning on
        self._whole = None  # (kind, length) of that message
        self._early = []  # [number, kind, body] of complete messages, later ones too
        self._inbox = []
        self._held = None  # a protected record that came before there were keys
        self._bad = False  # whether a Finished could not be read
        self._event = asyncio.Event()

    # Out

    def add(self, kind, body, epoch=0):
        """Put a message into the flight."""
        if self._sent is not None:
            self._flight = []
            self._sent = None
        data = message(kind, self._out, body)
        self._out += 1
        self.transcript.extend(data)
        self._flight.append((_HANDSHAKE, epoch, data))

    def finish(self, label):
        """Put ChangeCipherSpec and Finished into the flight."""
        if self._sent is not None:
            self._flight = []
            self._sent = None
        self.epoch = 1
        self._flight.append((_CHANGE_CIPHER_SPEC, 0, b"\1"))
        self.add(_FINISHED, self._verify_data(label, len(self.transcript)), 1)

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
        """The session's keys, once both sides' key exchange is in the transcript."""
        with phase("dtls.keys") as keys:
            keys.derive(self.session, premaster, sha256(self.transcript).digest() if self.extended else None, server)
        if self._held:
            self._inbox.insert(0, self._held)
            self._held = None

    def before(self):
        """The transcript without the message received last."""
        return memoryview(self.transcript)[: self._before]

    def _verify_data(self, label, length):
        with phase("dtls.keys") as keys:
            return keys.verify_data(self.session, label, memoryview(self.transcript)[:length])

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
                    self._before = len(self.transcript)
                    self.transcript.extend(message(kind, number, body))
                    return kind, body
            await self._take_record(_FINISHED in kinds)

    async def finished(self, label):
        """Take the peer's Finished and check it."""
        _, body = await self.expect(_FINISHED)
        if not equal(body, self._verify_data(label, self._before)):
            raise Alert(_DECRYPT_ERROR)

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
        record = self._inbox.pop(0)
        content = record[0]
        epoch = record[3] << 8 | record[4]
        data = memoryview(record)[_HEADER:]
        if epoch == 1:
            if not self.session.read:
                self._held = record
                return
            data = self.session.unseal(record)
            if data is None:
                # Once it may be anybody's, or have changed under way. Twice: most likely the pre-shared keys differ.
                if at_end and content == _HANDSHAKE and self.session.top < 0:
                    if self._bad:
                        raise Alert(_BAD_RECORD_MAC)
                    self._bad = True
                return
        elif epoch:
            return
        if content == _HANDSHAKE:
            self._fragments(data, epoch)
        elif content == _ALERT and len(data) == 2 and (data[0] == _FATAL or data[1] == _CLOSE_NOTIFY):
            raise Alert(data[1], True)

    def _fragments(self, data, epoch):
        """Messages, or parts of them, out of one record. What makes no sense is ignored: it may be anybody's."""
        at = 0
        while at + _HEAD <= len(data):
            kind = data[at]
            length, number, offset, size = (
                int.from_bytes(bytes(data[at + a : at + b]), "big") for a, b in ((1, 4), (4, 6), (6, 9), (9, 12))
            )
            at += _HEAD + size
            most = _LARGEST if kind in (_CERTIFICATE, _CERTIFICATE_REQUEST) else _LARGE
            if at > len(data) or offset + size > length or length > most or (kind == _FINISHED) != (epoch == 1):
                return
            body = data[at - size : at]
            if number < self._in:
                if ticks_diff(ticks_ms(), self._sent) >= _AGAIN:  # the peer has not heard the answer
                    self.transmit()
            elif number > self._in:
                kept = [len(entry[2]) for entry in self._early]
                if size == length and len(kept) < _EARLY and sum(kept) + size <= _EARLY_BYTES:
                    self._keep(number, kind, bytes(body))
            else:
                self._assemble(number, kind, length, offset, body)

    def _assemble(self, number, kind, length, offset, body):
        part = self._part
        if not part:
            self._whole = kind, length
        if self._whole == (kind, length) and offset <= len(part):
            part.extend(body[len(part) - offset :])
            if len(part) == length:
                self._keep(number, kind, bytes(part))

    def _keep(self, number, kind, body):
        if all(entry[0] != number for entry in self._early):
            self._early.append((number, kind, body))


async def agree(private, point):
    """The secret shared with the owner of `point` (uncompressed). Raises Alert when it is none of the curve."""
    if len(point) != 65 or point[0] != 4:
        raise Alert(_DECODE_ERROR)
    try:
        with phase("crypto.p256") as p256:
            return await p256.agree_async(private, point[1:])
    except ValueError:
        raise Alert(_ILLEGAL_PARAMETER)


def premaster(shared, psk):
    """The premaster secret (RFC 4279 section 2, RFC 5489 section 2)."""
    if psk is None:
        return shared
    return vector(2, bytes(len(psk)) if shared is None else shared) + vector(2, psk)


# Handshakes of a transport


def begin(transport, handshake):
    """Have a handshake done, instead of another one with the same peer: (it, its task with an error or None)."""
    address = handshake.session.address
    transport.end_handshake(address)
    entry = transport.handshakes[address] = handshake, asyncio.create_task(conduct(transport, handshake))
    return entry


def forget(transport, handshake):
    """It is over, or given up."""
    address = handshake.session.address
    entry = transport.handshakes.get(address)
    if entry and entry[0] is handshake:
        del transport.handshakes[address]
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
        print_exception(caught)
        code = _INTERNAL_ERROR
        error = OSError("the handshake failed")
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
