"""A session with a CoAP server: a phase, in which nothing is in memory that only fetches."""

from port import phase


async def connect(transport, server, timeout_ms):
    """The session of `transport` with `server`: the one that there is, or a new one. Raises Fault "lost"."""
    session = transport.sessions.get(server)
    if session is None:
        try:
            session = await transport.connect(server, timeout_ms)
        except OSError as error:
            with phase("firmware.coap_lost") as lost:
                raise lost.refused(error, transport.credentials) from None
    return session
