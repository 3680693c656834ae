"""ClientHellos, and the cookie that keeps strangers from costing memory (RFC 6347 section 4.2.1). A phase."""

from crypto import equal, hashed, padded
from port import const, phase, reserve, ticks_add, ticks_ms, urandom

from dtls.alert import Alert
from dtls.record import Session

_BODY = const(25)  # where the body of a handshake message begins in its record
_DECODE_ERROR = const(50)
_ENOUGH = const(16384)  # bytes that a handshake is content with
_HANDSHAKE = const(22)
_RANDOM = const(2)  # where it begins in a ClientHello
_SESSION = const(34)
_TURN = const(1 << 17)  # ms, in which a cookie stays the same
# A HelloVerifyRequest up to its cookie of 16 bytes: type, length, number, offset, length; version, length
_REQUEST = b"\3\0\0\x13\0\0\0\0\0\0\0\x13\xfe\xfd\x10"


def take(transport, record, address):
    """A ClientHello for `transport`, in the `record` that came from `address`. Nothing is kept of it unless it brings a
    good cookie. Raises MemoryError.
    """
    size = int.from_bytes(bytes(record[14:17]), "big")
    whole = size == int.from_bytes(bytes(record[22:25]), "big") == len(record) - _BODY
    # Nobody comes to numbers that high, of a record or a message, before there is an answer.
    if not whole or record[5] or record[17] or not transport.credentials.suites():
        return
    body = bytes(record[_BODY:])
    try:
        hello = Opening(body)
    except Alert:
        return
    session = Session(address)
    # The first record is numbered as the peer's was (RFC 6347 section 4.2.1).
    session.next[0] = int.from_bytes(bytes(record[5:11]), "big")
    entry = transport.handshakes.get(address)
    known = entry and entry[0].hello
    cookies = Cookies(transport.secret)
    if not hello.cookie or not cookies.good(hello, address):
        transport.datagrams.send(cookies.request(session, hello), address)
    elif known and known.random == hello.random:
        entry[0].take(record)  # the same once more
    elif entry and not known:
        pass  # this side is connecting there
    elif address in transport.sessions and transport.sessions[address].randoms[-32:] == hello.random:
        pass  # late, or replayed
    else:
        if transport.code is None:
            code = phase("dtls.server")
            reserve.offer(_ENOUGH)
            try:
                transport.server = code.__enter__()
            except MemoryError:
                reserve.__exit__()
                raise
            transport.code = code  # whose end gives the reserve back
        transport.server.answer(transport, session, body, record[17] << 8 | record[18])


def _after(body, at, n):
    """Where the vector at `at` ends, whose length is in `n` bytes."""
    end = at + n + int.from_bytes(body[at : at + n], "big")
    if end > len(body):
        raise Alert(_DECODE_ERROR)
    return end


class Opening:
    """A first look at the `body` of a ClientHello. Raises Alert when it is not one: each extension may come once.

    `random`, `cookie`, and `signed`: what the cookie is for, all but the extensions.
    """

    def __init__(self, body):
        session = _after(body, _SESSION, 1)
        cookie = _after(body, session, 1)
        end = _after(body, _after(body, cookie, 2), 1)  # cipher suites, compression methods
        self.random = body[_RANDOM:_SESSION]
        self.cookie = body[session + 1 : cookie]
        self.signed = body[:session] + body[cookie:end]
        found = []
        if end < len(body):
            if _after(body, end, 2) != len(body):
                raise Alert(_DECODE_ERROR)
            end += 2
        while end < len(body):
            number = body[end : end + 2]
            if number in found:
                raise Alert(_DECODE_ERROR)
            found.append(number)
            end = _after(body, end + 2, 2)


class Cookies:
    """Cookies without memory: each is a code over address and ClientHello, and good for two to four minutes.

    `secret`: 32 bytes of the server's own.
    """

    def __init__(self, secret=None):
        self._secret = secret or urandom(32)

    def good(self, hello, address):
        """Whether the Client at `address` has seen its cookie."""
        for at in (ticks_ms(), ticks_add(ticks_ms(), -_TURN)):
            if equal(hello.cookie, self._cookie(hello, address, at)):
                return True
        return False

    def request(self, session, hello):
        """The record of a HelloVerifyRequest for the Client of `session`."""
        return session.seal(_HANDSHAKE, _REQUEST + self._cookie(hello, session.address, ticks_ms()), 0)

    def _cookie(self, hello, address, at):
        return hashed(padded(self._secret), repr((address, at // _TURN)).encode(), hello.signed)[:16]
