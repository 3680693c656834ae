"""Where releases come from: part of the install phase."""

from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from port import const, phase
from swupdate.faults import Fault

from firmware.resolver import Resolver

_DATAGRAM = const(1500)
_TLS = const(28_000)  # bytes beside the Python heap: a connection takes them, and before it fails the radio goes deaf


def open_source(url, trust, server, limits, credentials, own=None, spare=_TLS, known=None, endpoint=None):
    """A Source (docs/architecture.md) for `url`; `server` is the network's name server, `own` this Device's address.

    `credentials(host)` gives those of this Device as a Client of that host, for DTLS; `spare`: bytes of memory for TLS.
    `known`: (name, address) of a name that was looked up before; `endpoint`: of CoAP, with the server of `url` at its
    other end. Raises Fault "scheme" for what is not fetched with, "memory".
    """
    scheme = url.partition(":")[0].lower()
    resolver = Resolver(server, own, known)
    if scheme == "https":
        if spare < _TLS:
            raise Fault("memory", "a connection takes %d bytes in one piece, and %d are free" % (_TLS, spare))
        with phase("swupdate.install.https") as https:
            return https.HttpsSource(url, trust.authorities(), resolver, limits)
    if scheme != "coaps":
        raise Fault("scheme", "%s is not a way to fetch a release" % scheme)
    made = None
    if endpoint is None:
        with phase("swupdate.url") as urls:
            made = transport(credentials(urls.parse(url, ("coaps",))[1]))
    with phase("firmware.coap_source") as coap:
        return coap.CoapSource(url, resolver, made, limits, endpoint)


def transport(credentials):
    """A transport of DTLS for a Client with these credentials."""
    return DtlsTransport(UdpTransport(port=0, limit=_DATAGRAM), credentials, False)
