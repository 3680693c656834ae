"""Where releases come from: part of the install phase."""

from swupdate.faults import Fault
from swupdate.install.dns import Resolver
from swupdate.install.https import HttpsSource


def open_source(url, trust, server, limits):
    """A Source (docs/architecture.md) for `url`; `server` is the network's name server.

    Raises Fault "scheme" for what this composition does not fetch with.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "https":
        return HttpsSource(url, trust.authorities(), Resolver(server), limits)
    raise Fault("scheme", "this version does not fetch with %s yet" % scheme)
