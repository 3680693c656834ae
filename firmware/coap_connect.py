"""A way to a CoAP server: a phase, in which nothing is in memory that only fetches."""

from port import const, phase

_FATAL = const(2)
_BAD_CERTIFICATE = const(42)


async def connect(transport, host, port, timeout_ms):
    """Who is at `host` (numeric) and `port`, for `transport`: with DTLS the session that there is, or a new one.

    Raises Fault "lost", MemoryError also where there was none for what the server answered.
    """
    server = _address(host, port)
    if not transport.secure:
        return server
    transport.datagrams.starved = 0
    session = transport.sessions.get(server)
    try:
        if session is None:
            session = await transport.connect(server, timeout_ms)
        await _believe(transport, session)  # one that is there, too: whoever began it may have got no further
    except (OSError, ValueError) as error:
        with phase("firmware.coap_lost") as lost:
            raise lost.refused(error, transport.credentials, transport.datagrams.starved) from None
    return session


async def _believe(transport, session):
    """The session is there; that it stays takes a server that is to be believed. Raises ValueError."""
    stays = False
    try:
        if getattr(transport.credentials, "chain", None):
            await believe(transport.credentials)
        stays = True
    finally:
        if not stays:
            try:
                transport.alert(session, _FATAL, _BAD_CERTIFICATE, 1)
            finally:  # there may have been no memory even for that
                transport.drop(session, False)


async def believe(trust):
    """Raises ValueError unless the chain of `trust` (firmware.trust) is that of a server to be believed."""
    chain, trust.chain = trust.chain, None
    try:
        await _judge(trust, chain)
    except ValueError as error:
        trust.refused = "its certificate: %s" % error
        raise


async def _judge(trust, chain):
    authorities = trust.authorities()  # before the code for them
    with phase("crypto.x509") as x509:
        leaf = await x509.verify_chain(chain, authorities, "server", trust.clock.now() or None)
        if leaf.public != trust.key:  # what was taken for the key is something else
            raise ValueError("it says two keys")
        if not x509.names_host(leaf, trust.host):
            raise ValueError("it is for another server")


def _address(host, port):
    with phase("port.sockets") as sockets:
        return sockets.address(host, port)
