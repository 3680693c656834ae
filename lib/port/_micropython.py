"""MicroPython's side of `port`: the unix port and the ESP32."""

import asyncio
import gc
import os
import socket
import sys
from asyncio import core
from errno import EINPROGRESS
from time import ticks_add, ticks_diff, ticks_ms  # noqa: F401

from cryptolib import aes  # noqa: F401
from micropython import const  # noqa: F401

urandom = os.urandom
sleep_ms = asyncio.sleep_ms
wait_for = asyncio.wait_for
collect = gc.collect
print_exception = sys.print_exception

_LINUX = sys.platform == "linux"  # socket option numbers are the host's, not lwIP's
_IPPROTO_IP = const(0)
_IPPROTO_IPV6 = const(41)
_IP_MULTICAST_IF = const(32)
_IPV6_JOIN_GROUP = const(20)
CERTIFICATE = -0x2700  # Mbed TLS: MBEDTLS_ERR_X509_CERT_VERIFY_FAILED


def loaded():
    """The names of all modules."""
    return sys.modules


def heap_used():
    """Live bytes on the Python heap."""
    gc.collect()
    return gc.mem_alloc()


def sync():
    """Make what was written to files durable (a no-op where closing a file does it)."""
    if hasattr(os, "sync"):
        os.sync()


def bytecode_version():
    """The `.mpy` version that this interpreter loads."""
    return sys.implementation._mpy & 0xFF


async def readable(sock):
    """Wait until `sock` has something to read."""
    yield core._io_queue.queue_read(sock)


def address(host, port, kind=socket.SOCK_DGRAM):
    """The socket address of a numeric `host`; never asks a name server."""
    found = socket.getaddrinfo(host, port, 0, kind)[0][-1]
    return bytes(found) if isinstance(found, bytearray) else found  # as recvfrom gives it: hashable


def host_port(addr):
    """(host, port) of an address that came from a socket."""
    if isinstance(addr, tuple):
        return addr[0], addr[1]
    _family, host, port = socket.sockaddr(addr)[:3]
    if len(host) == 4:
        return "%d.%d.%d.%d" % tuple(host), port
    return ":".join("%x" % (host[i] << 8 | host[i + 1]) for i in range(0, 16, 2)), port


def udp_socket(host="0.0.0.0", port=0, group=None, interface=None):
    """A bound, non-blocking UDP socket; with `group`, one that receives that multicast group on `interface`.

    `host` without a group is where it is bound and where multicast leaves from. Raises OSError.
    """
    ipv6 = ":" in host or (group is not None and ":" in group)
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if group is not None:
            sock.setsockopt(1 if _LINUX else 0xFFF, 2 if _LINUX else 4, 1)
            sock.bind(address(group, port))
            if ipv6:
                sock.setsockopt(
                    _IPPROTO_IPV6, _IPV6_JOIN_GROUP, _packed(group) + (interface or 0).to_bytes(4, sys.byteorder)
                )
            else:
                join = 35 if _LINUX else socket.IP_ADD_MEMBERSHIP
                sock.setsockopt(_IPPROTO_IP, join, _packed(group) + _packed(interface or "0.0.0.0"))
        else:
            sock.bind(address(host, port))
            if _LINUX and not ipv6 and host != "0.0.0.0":
                sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_IF, _packed(host))
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
