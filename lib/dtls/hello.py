"""All of a ClientHello, once its cookie is good. In the phase of handshakes."""

from port import const

from dtls.cookie import Opening
from dtls.handshake import SUITES
from dtls.wire import Reader, extensions

# Extensions, and what is in them
_GROUPS = const(10)
_POINT_FORMATS = const(11)
_SIGNATURES = const(13)
_MASTER_SECRET = const(23)
_RENEGOTIATION = const(0xFF01)
_RENEGOTIATION_SCSV = const(0x00FF)
_P256 = const(23)
_ECDSA_SHA256 = const(0x0403)
# Key exchange
_ECDHE = const(1)
_BY_CERTIFICATE = const(4)


class ClientHello(Opening):
    """What a Client offers. Raises Alert when `body` is not one."""

    def __init__(self, body):
        super().__init__(body)
        reader = Reader(body)
        self.version = reader.take(2)
        reader.take(32)
        reader.vector(1)
        reader.vector(1)
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
