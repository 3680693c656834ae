"""Bound sockets for the release server, and a transport of lib/coap over one."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from fargo.console import CONNECTION, Failure

_WAITING = 32768  # bytes on their way to one client, at the most


def bracket(host: str) -> str:
    """A host as it stands before a colon and a port."""
    return f"[{host}]" if ":" in host else host


def bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A bound, non-blocking socket. Raises Failure when the port cannot be had."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # A device takes what its 5,760-byte window lets through; a megabyte waiting in the kernel is of no use to it,
            # and would make the counts of bytes sent a fiction.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WAITING)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        name = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        raise Failure(
            f"cannot listen on {bracket(host)}:{port} ({name}): {exc.strerror or exc}",
            "Choose another port, or stop what uses this one.",
            CONNECTION,
        ) from exc
    return sock


class Datagrams:
    """A transport of lib/coap over one bound, non-blocking socket."""

    secure = False
    _BURST = 16  # datagrams taken before other tasks get their turn

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._taken = 0

    async def receive(self) -> tuple[memoryview, Any, bool]:
        """The next datagram, its sender, and that it did not come by multicast."""
        self._taken += 1
        if self._taken % self._BURST == 0:
            await asyncio.sleep(0)
        while True:
            try:
                data, peer = await asyncio.get_running_loop().sock_recvfrom(self._sock, 2048)
            except OSError:  # a datagram of ours was refused by its receiver
                continue
            return memoryview(data), peer, False

    def send(self, data: bytes | memoryview, peer: Any) -> None:
        """What the network does not take now is lost."""
        try:
            self._sock.sendto(data, peer)
        except OSError:
            pass

    def identity(self, _peer: Any) -> None:
        """Nobody is authenticated in the clear."""
        return

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
