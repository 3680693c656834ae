"""ClientHello, and the cookie that keeps strangers from costing memory (RFC 6347 section 4.2.1)."""

from crypto.compare import equal
from crypto.prf import hmac
from port import const, ticks_add, ticks_ms, urandom

from dtls.record import SUITES
from dtls.wire import Reader, extensions, message, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_HELLO_VERIFY_REQUEST = const(3)
# Extensions, and what is in them
_GROUPS = const(10)
_POINT_FORMATS = const(11)
_SIGNATURES = const(13)
_MASTER_SECRET = const(23)
_RENEGOTIATION = const(0xFF01)
_RENEGOTIATION_SCSV = const(0x00FF)
_P256 = const(23)
_ECDSA_SHA256 = const(0x0403)
# Content types
_HANDSHAKE = const(22)
# Key exchange
_ECDHE = const(1)
_BY_CERTIFICATE = const(4)

_VERSION = b"\xfe\xfd"


class ClientHello:
    """What a Client offers. Raises Alert when `body` is not one."""

    def __init__(self, body):
        reader = Reader(body)
        self.version = reader.take(2)
        self.random = reader.take(32)
        head = reader.vector(1)
        self.cookie = reader.vector(1)
        suites = reader.vector(2)
        compression = reader.vector(1)
        self.suites = [suites[i] << 8 | suites[i + 1] for i in range(0, len(suites) - 1, 2)]
        found = self._found = {}
        for number, data in extensions(reader):
            found[number] = data
        self.extended = _MASTER_SECRET in found
        self.renegotiation = _RENEGOTIATION in found or _RENEGOTIATION_SCSV in self.suites
        self.formats = _POINT_FORMATS in found
        # DTLS 1.2 or later, without compression; a renegotiation would name the Finished before.
        first = not found.get(_RENEGOTIATION, b"\0").strip(b"\0")
        self.sound = self.version[0] == 0xFE and self.version[1] <= 0xFD and 0 in compression and first
        self.signed = b"".join((self.version, self.random, head, suites, compression))

    def choose(self, suites):
        """The first of `suites` that the Client can do as well, or None."""
        if not self.sound:
            return None
        for suite in suites:
            kind = SUITES[suite][0]
            if (
                suite in self.suites
                and (not kind & _ECDHE or self._lists(_GROUPS, _P256))
                and (not kind & _BY_CERTIFICATE or self._lists(_SIGNATURES, _ECDSA_SHA256))
            ):
                return suite
        return None

    def _lists(self, extension, number):
        """Whether a list extension has `number`; a Client that does not send it has no preference."""
        data = self._found.get(extension)
        return data is None or any(data[i] << 8 | data[i + 1] == number for i in range(2, len(data) - 1, 2))


class Cookies:
    """Cookies without memory: each is a code over address and ClientHello, and good for two to four minutes."""

    def __init__(self):
        self._secret = urandom(32)

    def good(self, hello, address):
        """Whether the Client at `address` has seen its cookie."""
        now = ticks_ms()
        return any(equal(hello.cookie, self._cookie(hello, address, at)) for at in (now, ticks_add(now, -(1 << 17))))

    def request(self, session, hello):
        """The record of a HelloVerifyRequest for the Client of `session`."""
        body = _VERSION + vector(1, self._cookie(hello, session.address, ticks_ms()))
        return session.seal(_HANDSHAKE, message(_HELLO_VERIFY_REQUEST, 0, body), 0)

    def _cookie(self, hello, address, at):
        return hmac(self._secret, repr((address, at >> 17)).encode(), hello.signed)[:16]
