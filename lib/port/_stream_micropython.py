"""A TLS connection: what stays in memory of `port.peer` as long as it is open."""

import sys
from asyncio import core

_WRITABLE = 4  # select.POLLOUT
CERTIFICATE = -0x2700  # Mbed TLS: MBEDTLS_ERR_X509_CERT_VERIFY_FAILED


class Stream:
    """What both interpreters' TLS connections look like from here."""

    def __init__(self, sock, raw):
        self._sock = sock
        self._raw = raw  # `tls` lets go of it, open, when a certificate is refused

    def take(self, view):
        """Read what has come into `view`; the count, 0 at the end of the connection, None for nothing. Raises OSError."""
        try:
            return self._sock.readinto(view)
        except ValueError as error:  # how `tls` says what is wrong with a certificate
            raise OSError(CERTIFICATE, str(error).strip()) from None

    async def readinto(self, view):
        """Read at least one byte into `view`; the count, or 0 at the end of the connection. Raises OSError."""
        while True:
            yield core._io_queue.queue_read(self._sock)
            count = self.take(view)
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
        self._sock = self._raw = None
        # The poller keeps what it told of last, 2.5 KB with TLS, until it tells of something else.
        poller = core._io_queue.poller
        poller.register(sys.stdout, _WRITABLE)
        for _ in poller.ipoll(0):
            pass
        poller.unregister(sys.stdout)
