"""Where releases come from: part of the install phase."""

from port import phase
from swupdate.faults import Fault
from swupdate.install.https import HttpsSource


class Resolver:
    """Names through the name server `server`; the code for it is in memory only while a name is asked for."""

    def __init__(self, server):
        self._server = server

    async def resolve(self, name):
        """The numeric address of `name`. Raises Fault "lost"."""
        with phase("swupdate.install.dns") as dns:
            return await dns.resolve(name, self._server)


def open_source(url, trust, server, limits):
    """A Source (docs/architecture.md) for `url`; `server` is the network's name server.

    Raises Fault "scheme" for what this composition does not fetch with.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "https":
        return HttpsSource(url, trust.authorities(), Resolver(server), limits)
    raise Fault("scheme", "this version does not fetch with %s yet" % scheme)
