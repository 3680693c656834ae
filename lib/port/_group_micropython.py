"""MicroPython's side of `port.group`."""

import socket
import sys

from port import const
from port._sockets_micropython import address

_LINUX = sys.platform == "linux"  # socket option numbers are the host's, not lwIP's
_IPPROTO_IP = const(0)
_IPPROTO_IPV6 = const(41)
_IPV6_JOIN_GROUP = const(20)


def group_socket(group, port, interface=None):
    """A non-blocking UDP socket that receives the multicast `group` on `interface`. Raises OSError."""
    ipv6 = ":" in group
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(1 if _LINUX else 0xFFF, 2 if _LINUX else 4, 1)
        sock.bind(address(group, port))
        if ipv6:
            member = _packed(group) + (interface or 0).to_bytes(4, sys.byteorder)
            sock.setsockopt(_IPPROTO_IPV6, _IPV6_JOIN_GROUP, member)
        else:
            join = 35 if _LINUX else socket.IP_ADD_MEMBERSHIP
            sock.setsockopt(_IPPROTO_IP, join, _packed(group) + _packed(interface or "0.0.0.0"))
    except OSError:
        sock.close()
        raise
    return sock


def _packed(host):
    if ":" not in host:
        return bytes(int(part) for part in host.split("."))
    head, _, tail = host.partition("::")
    left = [int(p, 16) for p in head.split(":") if p]
    right = [int(p, 16) for p in tail.split(":") if p]
    words = left + [0] * (8 - len(left) - len(right)) + right
    return b"".join(w.to_bytes(2, "big") for w in words)
