"""A connection to an HTTPS server: a phase of `https`."""

from port.peer import tls_connect


async def connect(source, host, port):
    """Connect `source`, an HttpsSource, to `host`, which shows a certificate for that name. Raises as what it calls."""
    source._low = source._high = 0
    name = host[:-1] if host[-1:] == "." else host
    source._stream = await tls_connect(await source._resolver.resolve(name), port, name, source._authorities)
    source._server = host, port
