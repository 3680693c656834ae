"""MicroPython's side of `port.sockets`."""

import socket
import sys

from port import const

_LINUX = sys.platform == "linux"  # socket option numbers are the host's, not lwIP's
_IPPROTO_IP = const(0)
_IP_MULTICAST_IF = const(32)


def address(host, port, kind=socket.SOCK_DGRAM):
    """The socket address of a numeric `host`; never asks a name server."""
    found = socket.getaddrinfo(host, port, 0, kind)[0][-1]
    return bytes(found) if isinstance(found, bytearray) else found  # as recvfrom gives it: hashable


def udp_socket(host="0.0.0.0", port=0):
    """A bound, non-blocking UDP socket: `host` is where it is bound, and where multicast leaves from. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(address(host, port))
        if _LINUX and ":" not in host and host != "0.0.0.0":
            sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_IF, bytes(map(int, host.split("."))))
    except OSError:
        sock.close()
        raise
    return sock
