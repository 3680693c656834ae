"""Sockets behind a radio, for boards whose packets are to stop where there is no network."""

import io
import select

_EHOSTUNREACH = 113
_POLL = 3  # MP_STREAM_POLL


class Radio(io.IOBase):
    """The host's socket `sock`: without a network nothing goes out, what comes in is lost, connections stand still.

    As on the chip (ports/esp32/modsocket.c), an empty datagram is taken for the end of a connection: nothing is received
    after it until the socket is told to listen, whatever comes of that.
    """

    _ended = False

    def __init__(self, chip, sock):
        self._chip = chip
        self._sock = sock
        self._poll = select.poll()

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def _out(self):
        if not self._chip.network():
            raise OSError(_EHOSTUNREACH)

    def sendto(self, data, peer):
        """Send a datagram. Raises OSError when there is no network."""
        self._out()
        return self._sock.sendto(data, peer)

    def connect(self, peer):
        """Begin a connection. Raises OSError when there is no network."""
        self._out()
        self._sock.connect(peer)

    def listen(self, backlog):
        """Take connections. Raises OSError when that is not what the socket is for."""
        self._ended = False
        self._sock.listen(backlog)

    def recvfrom(self, size):
        """The next datagram that came while there was a network. Raises OSError."""
        while not self._ended:
            found = self._sock.recvfrom(size)
            if self._chip.network():
                self._ended = not found[0]
                return found
        return b"", ("0.0.0.0", 0)

    def readinto(self, buf):
        """Bytes of a connection; None while there are none."""
        return self._sock.readinto(buf) if self._chip.network() else None

    def write(self, data):
        """Bytes for a connection; None while it takes none."""
        return self._sock.write(data) if self._chip.network() else None

    def ioctl(self, request, arg):
        """What the socket is ready for."""
        if request != _POLL or not self._chip.network():
            return 0
        self._poll.register(self._sock, arg)
        for found in self._poll.ipoll(0):
            return found[1]
        return 0

    def close(self):
        """Close the socket."""
        self._sock.close()
