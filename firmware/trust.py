"""Whom this Device believes when it fetches a release over DTLS: a phase, loaded for the connection."""

from port import phase

_BY_CERTIFICATE = (0xC0AE, 0xC0AC)
_BY_KEY = (0xC037, 0xC0A8)
# What is before the point in a SubjectPublicKeyInfo of P-256: the curve, BIT STRING, uncompressed.
_POINT = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"


class ServerTrust:
    """The `credentials` of DTLS (docs/architecture.md) for the release server `host`.

    The server shows a certificate for its name by an authority that was provisioned or that an owner added, or it knows a
    key that an owner gave to both. This Device shows its own certificate, if it has one. `refused`: why the server was.

    A handshake proves that the server has the key of its certificate. Whether that is believed is asked before this Device
    shows its own; if it has none, once the session is there and the code of the handshake is not: nothing is sent in the
    session before (firmware.coap_connect). `chain`: the server's, until then; `key`: that it was taken to be for.
    """

    refused = ""
    chain = key = None

    def __init__(self, host, security, provision, clock):
        self.host = host
        self._security = security
        self._provision = provision
        self.clock = clock

    def suites(self):
        """What is offered."""
        return _BY_CERTIFICATE + _BY_KEY if self.authorities() else _BY_KEY

    def psk_for(self, hint, _address):
        """The key shared with the server that gives this hint, if any."""
        found = self._security.psk_for(hint, None)
        if found is None:
            self.refused = "this Device shares no key with it"
        return found

    def certificate(self):
        """This Device's own."""
        return self._security.certificate()

    async def trust(self, chain):
        """(public key, None) of the server, for the handshake. Raises ValueError."""
        der = chain[0] if chain else b""
        at = der.find(_POINT) + len(_POINT)
        if at < len(_POINT):
            self.refused = "its certificate: key is not on P-256"
            raise ValueError
        self.chain, self.key = chain, der[at : at + 64]
        if self.certificate():
            with phase("firmware.coap_connect") as coap:
                await coap.believe(self)
        return self.key, None

    def opened(self, _session):
        """Nothing hangs on it."""

    closed = opened

    def authorities(self):
        """The certificates (DER) that the server's must chain to."""
        return self._provision.authorities() + self._security.authorities()
