"""MicroPython's side of `port.peer`."""

import socket
from asyncio import core
from errno import EINPROGRESS

CERTIFICATE = -0x2700  # Mbed TLS: MBEDTLS_ERR_X509_CERT_VERIFY_FAILED


def host_port(addr):
    """(host, port) of an address that came from a socket."""
    if isinstance(addr, tuple):
        return addr[0], addr[1]
    _family, host, port = socket.sockaddr(addr)[:3]
    if len(host) == 4:
        return "%d.%d.%d.%d" % tuple(host), port
    return ":".join("%x" % (host[i] << 8 | host[i + 1]) for i in range(0, 16, 2)), port


class _Stream:
    """What both interpreters' TLS connections look like from here."""

    def __init__(self, sock, raw):
        self._sock = sock
        self._raw = raw  # `tls` lets go of it, open, when a certificate is refused

    async def readinto(self, view):
        """Read at least one byte into `view`; the count, or 0 at the end of the connection. Raises OSError."""
        while True:
            yield core._io_queue.queue_read(self._sock)
            try:
                count = self._sock.readinto(view)
            except ValueError as error:  # how `tls` says what is wrong with a certificate
                raise OSError(CERTIFICATE, str(error).strip()) from None
            if count is not None:
                return count

    async def write(self, data):
        """Send all of `data`; the first write does the handshake. Raises OSError."""
        data = memoryview(data)
        while data:
            yield core._io_queue.queue_write(self._sock)
            try:
                count = self._sock.write(data)
            except ValueError as error:
                raise OSError(CERTIFICATE, str(error).strip()) from None
            if count:
                data = data[count:]

    async def close(self):
        """Close; errors of a connection that is already gone are of no interest."""
        for sock in (self._sock, self._raw):
            try:
                sock.close()
            except OSError:
                pass


async def tls_connect(ip, port, hostname, authorities):
    """A TLS connection to `ip`:`port` whose certificate chains to `authorities` (list of DER) and names `hostname`.

    The handshake may be left to the first `write`. Raises OSError when the network refuses, OSError(CERTIFICATE, why)
    when the certificate does, ValueError when an authority is no certificate. Set no timeout here: use
    `asyncio.wait_for`.
    """
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    for der in authorities:
        context.load_verify_locations(der)
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
    except BaseException:
        raw.close()
        raise
    return _Stream(sock, raw)
