"""What an HTTPS source needs before it can ask: what a URL stands for, and a connection to there. A phase."""

from port import phase
from port.peer import tls_connect

_SCHEMES = ("https",)


def target(base, reference):
    """(URL, host, port, path) of what `reference` stands for at the URL `base`. Raises Fault."""
    with phase("swupdate.install.reference", "swupdate.url") as (references, urls):
        url = references.locate(base, reference)
        _scheme, host, port, path = urls.parse(url, _SCHEMES)
        return url, host, port, path


async def connect(resolver, host, port, authorities):
    """A TLS connection (port.peer) to `host`, which shows a certificate for that name. Raises as both of them do."""
    name = host[:-1] if host[-1:] == "." else host
    return await tls_connect(await resolver.resolve(name), port, name, authorities)
