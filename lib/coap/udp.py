"""Datagrams over UDP sockets, for one address family: the unicast socket, and one more for each multicast group.

MicroPython cannot tell where a datagram was sent to (no IP_PKTINFO), so a group has a socket of its own.
"""

from port import const, phase, readable, reserve, sleep_ms

_EAGAIN = const(11)
_MAX_DATAGRAM = const(1280)  # a block of 1024 bytes and its headers
_BURST = const(8)  # datagrams taken before other tasks get their turn
_LEAST = const(512)  # bytes that there must be memory for in one piece


class UdpTransport:
    """A transport (docs/architecture.md) in the clear.

    `groups` are multicast addresses, joined on `interface` (IPv4: own address, IPv6: index) and received at
    `group_port`. A datagram may have `limit` bytes; while there is no piece of memory for so many, fewer: a longer one is
    lost then. Raises OSError when a socket cannot be had.
    """

    secure = False
    bytes_sent = 0  # until somebody takes them off
    starved = 0  # datagrams for which there was no memory, since somebody began to count

    def __init__(self, host="0.0.0.0", port=5683, groups=(), interface=None, group_port=5683, limit=_MAX_DATAGRAM):
        self.groups = len(groups)
        self.limit = limit
        self._burst = self.starved = 0
        with phase("port.sockets") as code:
            self._sockets = code.udp_sockets(host, port, groups, interface, group_port)

    async def receive(self, group=0):
        """The next datagram to the unicast socket, or to a group (1, 2, ...): (memoryview, peer, whether it came by
        multicast). One longer than `limit` comes cut to one byte more."""
        used = False  # the reserve, and there was nothing to receive
        while True:
            if self._burst >= _BURST:
                self._burst = 0
                await sleep_ms(0)
            sock = self._sockets[group]
            size = self.limit
            try:
                while True:
                    try:
                        data, peer = sock.recvfrom(size + 1)
                        break
                    except MemoryError:
                        if reserve.let_go(True):
                            used = True
                        elif size < _LEAST:
                            raise
                        else:
                            size = size * 3 // 4
                self._burst += 1
                if not data:  # an ESP32 takes it for the end of a connection, and hears no more until it is told to
                    sock.listen(0)  # raises, for there are no connections
                if len(data) <= size or size == self.limit:
                    return memoryview(data), peer, group > 0
                self.starved += 1
            except OSError as error:
                if error.errno != _EAGAIN:  # a passing trouble of the network (ECONNREFUSED, ENOMEM): serve on
                    await sleep_ms(10)
            except MemoryError:
                self.starved += 1
                await sleep_ms(10)
            self._burst = 0
            if used:
                reserve.take()
            await readable(sock)

    def send(self, data, peer):
        """Send at once; what the network does not take now is lost."""
        try:
            self.bytes_sent += len(data)
            self._sockets[0].sendto(data, peer)
        except (OSError, MemoryError, IndexError):
            pass

    def identity(self, _peer):
        """Nobody is authenticated in the clear."""

    def close(self):
        """Close the sockets. Tasks in `receive` must have been cancelled before: the selector must forget a socket first."""
        while self._sockets:
            self._sockets.pop().close()
