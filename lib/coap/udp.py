"""Datagrams over UDP sockets, for one address family: the unicast socket, and one more for each multicast group.

MicroPython cannot tell where a datagram was sent to (no IP_PKTINFO), so a group has a socket of its own.
"""

import asyncio

from port import const, phase, readable, reserve, sleep_ms

_EAGAIN = const(11)
_MAX_DATAGRAM = const(1280)  # a block of 1024 bytes and its headers
_BURST = const(8)  # datagrams taken before other tasks get their turn


class UdpTransport:
    """A transport (docs/architecture.md) in the clear.

    `groups` are multicast addresses, joined on `interface` (IPv4: own address, IPv6: index) and received at
    `group_port`. A datagram may have `limit` bytes. Raises OSError when a socket cannot be had.
    """

    secure = False
    bytes_sent = 0  # until somebody takes them off

    def __init__(self, host="0.0.0.0", port=5683, groups=(), interface=None, group_port=5683, limit=_MAX_DATAGRAM):
        self._limit = limit
        self._waiters = {}
        self._event = asyncio.Event() if groups else None
        self._turn = self._burst = 0
        with phase("port.sockets") as code:
            self._sockets = code.udp_sockets(host, port, groups, interface, group_port)

    async def receive(self):
        """The next datagram: (memoryview, peer, whether it came by multicast). One longer than `limit`
        comes cut to one byte more."""
        sockets = self._sockets
        used = False  # the reserve, and there was nothing to receive
        while True:
            if self._burst >= _BURST:
                self._burst = 0
                await sleep_ms(0)
            for _ in sockets:
                self._turn = turn = (self._turn + 1) % len(sockets)
                try:
                    try:
                        data, peer = sockets[turn].recvfrom(self._limit + 1)
                    except MemoryError:
                        used = reserve.let_go() or used
                        data, peer = sockets[turn].recvfrom(self._limit + 1)
                    self._burst += 1
                    return memoryview(data), peer, turn > 0
                except OSError as error:
                    if error.errno != _EAGAIN:  # a passing trouble of the network (ECONNREFUSED, ENOMEM): serve on
                        await sleep_ms(10)
                except MemoryError:
                    await sleep_ms(10)
            self._burst = 0
            if used:
                reserve.take()
            if len(sockets) == 1:
                await readable(sockets[0])
            else:
                for sock in sockets:
                    if id(sock) not in self._waiters:
                        self._waiters[id(sock)] = asyncio.create_task(self._wait(sock))
                await self._event.wait()
                self._event.clear()

    async def _wait(self, sock):
        try:
            await readable(sock)
        finally:
            self._waiters.pop(id(sock), None)
            self._event.set()
            if not self._sockets:
                sock.close()

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
        """Close the sockets. A task in `receive` must have been cancelled before."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            waiter = self._waiters.get(id(sock))
            if waiter:
                waiter.cancel()  # the selector must forget the socket before it is closed
            else:
                sock.close()
