"""A connection to an HTTPS server. A phase."""

from port.peer import tls_connect


async def connect(resolver, host, port, authorities):
    """A TLS connection (port.peer) to `host`, which shows a certificate for that name. Raises as both of them do."""
    name = host[:-1] if host[-1:] == "." else host
    return await tls_connect(await resolver.resolve(name), port, name, authorities)
