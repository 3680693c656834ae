"""Whom this Device believes when it fetches a release over DTLS: a phase, loaded for the connection."""

from port import phase

_BY_CERTIFICATE = (0xC0AE, 0xC0AC)
_BY_KEY = (0xC037, 0xC0A8)


class ServerTrust:
    """The `credentials` of DTLS (docs/architecture.md) for the release server `host`.

    The server shows a certificate for its name by an authority that was provisioned or that an owner added, or it knows a
    key that an owner gave to both. This Device shows its own certificate, if it has one. `refused`: why the server was.
    """

    refused = ""

    def __init__(self, host, security, provision, clock):
        self._host = host
        self._security = security
        self._provision = provision
        self._clock = clock

    def suites(self):
        """What is offered."""
        return _BY_CERTIFICATE + _BY_KEY if self._authorities() else _BY_KEY

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
        """(public key, None) of the server. Raises ValueError."""
        try:
            authorities = self._authorities()  # before the largest phase of all
            with phase("crypto.x509") as x509:
                leaf = await x509.verify_chain(chain, authorities, "server", self._clock.now() or None)
                if not x509.names_host(leaf, self._host):
                    raise ValueError("it is for another server")
                return leaf.public, None
        except ValueError as error:
            self.refused = "its certificate: %s" % error
            raise

    def opened(self, _session):
        """Nothing hangs on it."""

    closed = opened

    def _authorities(self):
        return self._provision.authorities() + self._security.authorities()
