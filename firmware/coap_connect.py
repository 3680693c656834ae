"""A way to a CoAP server: a phase, in which nothing is in memory that only fetches."""

from port import phase


async def connect(transport, host, port, timeout_ms):
    """Who is at `host` (numeric) and `port`, for `transport`: with DTLS the session that there is, or a new one.

    Raises Fault "lost".
    """
    server = _address(host, port)
    if not transport.secure:
        return server
    session = transport.sessions.get(server)
    if session is None:
        try:
            session = await transport.connect(server, timeout_ms)
        except OSError as error:
            with phase("firmware.coap_lost") as lost:
                raise lost.refused(error, transport.credentials) from None
    return session


def _address(host, port):
    with phase("port.sockets") as sockets:
        return sockets.address(host, port)
