"""MicroPython's side of `port.peer`."""

import socket
from asyncio import core
from errno import EINPROGRESS

from port._stream_micropython import CERTIFICATE, Stream  # noqa: F401


def host_port(addr):
    """(host, port) of an address that came from a socket."""
    if isinstance(addr, tuple):
        return addr[0], addr[1]
    _family, host, port = socket.sockaddr(addr)[:3]
    if len(host) == 4:
        return "%d.%d.%d.%d" % tuple(host), port
    return ":".join("%x" % (host[i] << 8 | host[i + 1]) for i in range(0, 16, 2)), port


def tls_context(authorities):
    """What connections to servers whose certificates chain to `authorities` (list of DER) have in common.

    A piece of almost 2 KB of the heap. Raises ValueError when an authority is no certificate.
    """
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    for der in authorities:
        context.load_verify_locations(der)
    return context


async def tls_connect(ip, port, hostname, authorities):
    """A TLS connection to `ip`:`port` whose certificate chains to `authorities` and names `hostname`.

    `authorities`: a list of DER, or what `tls_context` made of it. The handshake may be left to the first `write`.
    Raises OSError when the network refuses, OSError(CERTIFICATE, why) when the certificate does, ValueError when an
    authority is no certificate. Set no timeout here: use
    `asyncio.wait_for`.
    """
    context = authorities if hasattr(authorities, "wrap_socket") else tls_context(authorities)
    info = socket.getaddrinfo(ip, port, 0, socket.SOCK_STREAM)[0]  # numeric: asks no name server
    raw = socket.socket(info[0], info[1], info[2])
    try:
        raw.setblocking(False)
        try:
            raw.connect(info[-1])
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        yield core._io_queue.queue_write(raw)
        sock = context.wrap_socket(raw, server_hostname=hostname, do_handshake_on_connect=False)
        sock.setblocking(False)
        return Stream(sock, raw)
    except BaseException:
        raw.close()
        raise
