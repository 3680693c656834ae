"""What both roles of a handshake share: messages and their fragments, flights, the transcript, Finished."""

import asyncio
from errno import ETIMEDOUT
from hashlib import sha256

from crypto.compare import equal
from crypto.prf import prf
from port import const, ticks_diff, ticks_ms

from dtls.record import Alert

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_FINISHED = const(20)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_CLOSE_NOTIFY = const(0)
_UNEXPECTED_MESSAGE = const(10)
_BAD_RECORD_MAC = const(20)
_DECODE_ERROR = const(50)
_DECRYPT_ERROR = const(51)
_FATAL = const(2)
# Content types
_CHANGE_CIPHER_SPEC = const(20)
_ALERT = const(21)
_HANDSHAKE = const(22)
_HEADER = const(13)  # of a record
_HEAD = const(12)  # of a handshake message
_LARGEST = const(6144)  # bytes of one message
_DATAGRAM = const(1200)
_PART = const(1100)  # bytes of a message in one record
_INBOX = const(8)  # records that wait while this side calculates
_EARLY = const(3)  # messages kept that came before their turn
_EARLY_BYTES = const(2048)
_FIRST_WAIT = const(1000)  # ms
_TRIES = const(6)  # the last after 31 s, given up after 63 s
_LONGEST_WAIT = const(20_000)
_AGAIN = const(300)  # ms between two transmissions of a flight that the peer asks for


class Reader:
    """Takes a message apart. Whatever lies beyond its end is Alert DECODE_ERROR."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, n):
        """The next `n` bytes."""
        at = self._at
        if at + n > len(self._data):
            raise Alert(_DECODE_ERROR)
        self._at = at + n
        return bytes(self._data[at : at + n])

    def number(self, n):
        """The next `n` bytes as a number."""
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        """Bytes behind their length in `n` bytes."""
        return self.take(self.number(n))

    @property
    def more(self):
        """Whether there is anything left."""
        return self._at < len(self._data)

    def end(self):
        """There must be nothing left."""
        if self.more:
            raise Alert(_DECODE_ERROR)


def vector(n, *parts):
    """`parts` behind their length in `n` bytes."""
    data = b"".join(parts)
    return len(data).to_bytes(n, "big") + data


def message(kind, number, body):
    """A handshake message in one fragment, as the transcript has it."""
    size = len(body).to_bytes(3, "big")
    return b"".join((bytes((kind,)), size, number.to_bytes(2, "big"), b"\0\0\0", size, body))


def extensions(reader):
    """Extensions as (number, data); each may come once."""
    found = []
    if reader.more:
        inner = Reader(reader.vector(2))
        while inner.more:
            number = inner.number(2)
            if any(number == n for n, _ in found):
                raise Alert(_DECODE_ERROR)
            found.append((number, inner.vector(2)))
    reader.end()
    return found


def transmit(session, flight, send):
    """Send the messages of a flight, in as few datagrams as they fit into."""
    datagram = b""
    for content, epoch, data in flight:
        at = 0
        while True:
            if content == _HANDSHAKE:
                part = data[_HEAD + at : _HEAD + at + _PART]
                head = data[:6] + at.to_bytes(3, "big") + len(part).to_bytes(3, "big")
                at += len(part)
                record = session.seal(content, head + part, epoch)
            else:
                at = len(data) - _HEAD
                record = session.seal(content, data, epoch)
            if len(datagram) + len(record) > _DATAGRAM:
                send(datagram, session.address)
                datagram = b""
            datagram += record
            if at >= len(data) - _HEAD:
                break
    send(datagram, session.address)


class Handshake:
    """One handshake over `session`; `send(datagram, address)` is how anything leaves.

    The transport hands over records with `take`. A task of the handshake's own runs `run()` of a subclass, which is written
    as the protocol is drawn: it puts messages into a flight, transmits it, and expects the peer's. Alert says that it
    failed; OSError(ETIMEDOUT), that the peer no longer answers.
    """

    def __init__(self, session, send):
        self.session = session
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
        self._flight.append((_CHANGE_CIPHER_SPEC, 0, b"\1"))
        self.add(_FINISHED, self._verify_data(label, len(self.transcript)), 1)

    def transmit(self):
        """Send the flight, perhaps again."""
        if self._sent is None:
            self._wait = _FIRST_WAIT
            self._tries = 0
        self._sent = ticks_ms()
        transmit(self.session, self._flight, self._send)

    def derive(self, premaster, server):
        """The session's keys, once both sides' key exchange is in the transcript."""
        self.session.derive(premaster, sha256(self.transcript).digest() if self.extended else None, server)
        if self._held:
            self._inbox.insert(0, self._held)
            self._held = None

    def before(self):
        """The transcript without the message received last."""
        return memoryview(self.transcript)[: self._before]

    def _verify_data(self, label, length):
        seed = sha256(memoryview(self.transcript)[:length]).digest()
        return prf(self.session.master, label, seed, 12)

    # In

    def take(self, record):
        """A record for this handshake, whatever it is. Those that are too many are forgotten."""
        if len(self._inbox) < _INBOX:
            self._inbox.append(bytes(record))
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
                await asyncio.wait_for(self._event.wait(), left / 1000)
            except asyncio.TimeoutError:
                pass
        record = self._inbox.pop(0)
        content = record[0]
        epoch = record[3] << 8 | record[4]
        data = memoryview(record)[_HEADER:]
        if epoch == 1:
            if not self.session.keyed:
                self._held = record
                return
            data = self.session.unseal(record)
            if data is None:
                # Once it may be anybody's, or have changed under way. Twice: most likely the pre-shared keys differ.
                if at_end and content == _HANDSHAKE and not self.session.heard:
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
            if at > len(data) or offset + size > length or length > _LARGEST or (kind == _FINISHED) != (epoch == 1):
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
                self._part = bytearray()

    def _keep(self, number, kind, body):
        if all(entry[0] != number for entry in self._early):
            self._early.append((number, kind, body))
