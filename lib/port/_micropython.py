"""MicroPython's side of `port`: the unix port and the ESP32."""

import asyncio
import gc
import io
import os
import socket
import sys
from asyncio import core
from time import ticks_add, ticks_diff, ticks_ms  # noqa: F401

from cryptolib import aes  # noqa: F401
from micropython import const  # noqa: F401

urandom = os.urandom
sleep_ms = asyncio.sleep_ms
wait_for = asyncio.wait_for
collect = gc.collect

_LINUX = sys.platform == "linux"  # socket option numbers are the host's, not lwIP's
_IPPROTO_IP = const(0)
_IP_MULTICAST_IF = const(32)


def loaded():
    """The names of all modules."""
    return sys.modules


def print_exception(error):
    """One line of the log: what was raised, and where. Several when there is no memory for one."""
    try:
        text = io.StringIO()
        sys.print_exception(error, text)
        text = " ".join(text.getvalue().split())
    except MemoryError:
        sys.print_exception(error)
    else:
        print("error:", text)


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
