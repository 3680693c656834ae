"""What a record holds for a handshake: messages and their fragments. A phase of each record."""

from port import const, ticks_diff, ticks_ms

from dtls.alert import Alert

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CERTIFICATE = const(11)
_CERTIFICATE_REQUEST = const(13)
_FINISHED = const(20)
# Alerts (RFC 5246 section 7.2)
_CLOSE_NOTIFY = const(0)
_BAD_RECORD_MAC = const(20)
_FATAL = const(2)
# Content types
_ALERT = const(21)
_HANDSHAKE = const(22)
_HEADER = const(13)  # of a record
_HEAD = const(12)  # of a handshake message
_LARGEST = const(6144)  # bytes of a message that has a chain of certificates, or names of authorities
_LARGE = const(1536)  # of every other
_EARLY = const(3)  # messages kept that came before their turn
_EARLY_BYTES = const(2048)
_AGAIN = const(300)  # ms between two transmissions of a flight that the peer asks for


def put(handshake, record, at_end):
    """Take a record in, for `handshake` (dtls.handshake). `at_end`: its Finished is waited for. Raises Alert."""
    content = record[0]
    epoch = record[3] << 8 | record[4]
    data = memoryview(record)[_HEADER:]
    if epoch == 1:
        session = handshake.session
        if not session.read:
            handshake._held = record
            return
        data = session.unseal(record)
        if data is None:
            # Once it may be anybody's, or have changed under way. Twice: most likely the pre-shared keys differ.
            if at_end and content == _HANDSHAKE and session.top < 0:
                if handshake._bad:
                    raise Alert(_BAD_RECORD_MAC)
                handshake._bad = True
            return
    elif epoch:
        return
    if content == _HANDSHAKE:
        _fragments(handshake, data, epoch)
    elif content == _ALERT and len(data) == 2 and (data[0] == _FATAL or data[1] == _CLOSE_NOTIFY):
        raise Alert(data[1], True)


def _fragments(handshake, data, epoch):
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
        if number < handshake._in:
            if ticks_diff(ticks_ms(), handshake._sent) >= _AGAIN:  # the peer has not heard the answer
                handshake.transmit()
        elif number > handshake._in:
            kept = [len(entry[2]) for entry in handshake._early]
            if size == length and len(kept) < _EARLY and sum(kept) + size <= _EARLY_BYTES:
                _keep(handshake, number, kind, bytes(body))
        else:
            _assemble(handshake, number, kind, length, offset, body)


def _assemble(handshake, number, kind, length, offset, body):
    part = handshake._part
    if not part:
        handshake._whole = kind, length
    if handshake._whole == (kind, length) and offset <= len(part):
        part.extend(body[len(part) - offset :])
        if len(part) == length:
            handshake._part = bytearray()
            _keep(handshake, number, kind, part)


def _keep(handshake, number, kind, body):
    if all(entry[0] != number for entry in handshake._early):
        handshake._early.append((number, kind, body))
