"""CPython's side of `port`: the desktop tools and the tests."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
from typing import Any

_WRAP = 1 << 30
CERTIFICATE = -0x2700  # Mbed TLS: MBEDTLS_ERR_X509_CERT_VERIFY_FAILED

urandom = os.urandom
sync = os.sync


def const(value: int) -> int:
    """MicroPython folds `const`; here it is the identity."""
    return value


def ticks_ms() -> int:
    """A millisecond counter that wraps, as MicroPython's does."""
    return int(time.monotonic() * 1000) % _WRAP


def ticks_add(ticks: int, delta: int) -> int:
    """`ticks` moved by `delta` milliseconds, wrapped."""
    return (ticks + delta) % _WRAP


def ticks_diff(end: int, start: int) -> int:
    """Milliseconds from `start` to `end`, negative when `end` is earlier."""
    return (end - start + _WRAP // 2) % _WRAP - _WRAP // 2


async def sleep_ms(ms: int) -> None:
    """Sleep without blocking the loop."""
    await asyncio.sleep(ms / 1000)


async def wait_for(awaitable: Any, seconds: float) -> Any:
    """`asyncio.wait_for` that never loses the cancellation of its caller, as CPython's does before 3.12.

    That one returns a result that came in the same turn of the loop, and whoever has cancelled waits on.
    """
    async with asyncio.timeout(seconds):
        return await awaitable


create_task = asyncio.create_task
Event = asyncio.Event


def collect() -> None:
    """MicroPython collects on leaving a phase; here collection is left to the interpreter."""


def collect_after(size: int) -> None:
    """The same."""


def memory_free() -> int:
    """More than any device has."""
    return sys.maxsize


def loaded() -> list[str]:
    """The names of all modules, but for those that another thread is importing just now."""
    return [
        name for name, module in sys.modules.copy().items()
        if not getattr(getattr(module, "__spec__", None), "_initializing", False)
    ]  # fmt: skip


def among_threads(phase: type) -> type:
    """`phase` for a process where other threads import, and enter phases: what another thread is in stays."""
    turn = threading.RLock()
    entered: dict[Any, int] = {}  # phase: thread

    class Phase(phase):
        def __enter__(self) -> Any:
            with turn:
                for name in self._names:
                    if name in sys.modules:
                        __import__(name)  # another thread may be just about to: waits for it
                found = super().__enter__()
                entered[self] = threading.get_ident()
                return found

        def __exit__(self, *_error: object) -> bool:
            with turn:
                entered.pop(self, None)
                here = threading.get_ident()
                held = {name for other, thread in entered.items() if thread != here for name in other._names}
                self._loaded[:] = [name for name in self._loaded if name not in held]
                return bool(super().__exit__())

    return Phase


def heap_used() -> int:
    """Live bytes on the Python heap: known only on MicroPython, 0 here."""
    gc.collect()
    return 0


def bytecode_version() -> int:
    """The `.mpy` version that this interpreter loads: none."""
    return 0


def print_exception(exc: BaseException, file: Any = None) -> None:
    """Print a traceback."""
    traceback.print_exception(exc, file=file)


class aes:  # as MicroPython's cryptolib has it
    """AES in the modes 1 (ECB) and 2 (CBC, where `iv` goes on from call to call), without padding."""

    def __init__(self, key: bytes, mode: int, iv: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._cipher = Cipher(algorithms.AES(key), modes.CBC(iv) if mode == 2 and iv else modes.ECB())
        self._encryptor: Any = None
        self._decryptor: Any = None

    def encrypt(self, data: Any, out: Any = None) -> Any:
        """Whole blocks, encrypted, into `out` if that is given; it may be `data` itself."""
        self._encryptor = self._encryptor or self._cipher.encryptor()
        return self._done(self._encryptor.update(bytes(data)), out)

    def decrypt(self, data: Any, out: Any = None) -> Any:
        """Whole blocks, decrypted, into `out` if that is given; it may be `data` itself."""
        self._decryptor = self._decryptor or self._cipher.decryptor()
        return self._done(self._decryptor.update(bytes(data)), out)

    def _done(self, found: bytes, out: Any) -> Any:
        if out is None:
            return found
        out[:] = found
        return out


async def readable(sock: socket.socket) -> None:
    """Wait until `sock` has something to read."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: future.done() or future.set_result(None))
    try:
        await future
    finally:
        loop.remove_reader(sock)


def address(host: str, port: int, kind: int = socket.SOCK_DGRAM) -> Any:
    """The socket address of a numeric `host`; never asks a name server."""
    flags = socket.AI_NUMERICHOST
    return socket.getaddrinfo(host, port, 0, kind, 0, flags)[0][-1]


def host_port(addr: Any) -> tuple[str, int]:
    """(host, port) of an address that came from a socket."""
    return addr[0], addr[1]


def udp_socket(host: str = "0.0.0.0", port: int = 0) -> socket.socket:
    """A bound, non-blocking UDP socket: `host` is where it is bound, and where multicast leaves from. Raises OSError."""
    ipv6 = ":" in host
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, port))
        if not ipv6 and host != "0.0.0.0":
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
    except OSError:
        sock.close()
        raise
    return sock


def group_socket(group: str, port: int, interface: Any = None) -> socket.socket:
    """A non-blocking UDP socket that receives the multicast `group` on `interface`. Raises OSError."""
    ipv6 = ":" in group
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((group, port))
        packed = ipaddress.ip_address(group).packed
        if ipv6:
            member = packed + struct.pack("@I", interface or 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        else:
            member = packed + socket.inet_aton(interface or "0.0.0.0")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError:
        sock.close()
        raise
    return sock


class _Stream:
    """What both interpreters' TLS connections look like from here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def take(self, _view: memoryview) -> int | None:
        """Read what has come: here nothing, for asyncio's streams cannot be asked without waiting."""
        return None

    async def readinto(self, view: memoryview) -> int:
        """Read at least one byte into `view`; the count, or 0 at the end of the connection. Raises OSError."""
        data = await self._reader.read(len(view))
        view[: len(data)] = data
        return len(data)

    async def write(self, data: bytes) -> None:
        """Send all of `data`; the first write may do the handshake. Raises OSError."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Close; errors of a connection that is already gone are of no interest."""
        self._writer.transport.abort()  # a polite close would wait up to 30 s for a silent peer
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


def tls_context(authorities: list[bytes]) -> ssl.SSLContext:
    """What connections to servers whose certificates chain to `authorities` (list of DER) have in common.

    Raises ValueError when an authority is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for der in authorities:
        try:
            context.load_verify_locations(cadata=der)
        except ssl.SSLError as error:
            raise ValueError("invalid cert") from error
    return context


async def tls_connect(ip: str, port: int, hostname: str, authorities: list[bytes] | ssl.SSLContext) -> _Stream:
    """A TLS connection to `ip`:`port` whose certificate chains to `authorities` and names `hostname`.

    `authorities`: a list of DER, or what `tls_context` made of it. The handshake may be left to the first `write`.
    Raises OSError when the network refuses, OSError(CERTIFICATE, why) when the certificate does, ValueError when an
    authority is no certificate. Set no timeout here: use
    `asyncio.wait_for`.
    """
    context = tls_context(authorities) if isinstance(authorities, list) else authorities
    try:
        reader, writer = await asyncio.open_connection(ip, port, ssl=context, server_hostname=hostname)
    except ssl.SSLCertVerificationError as error:
        raise OSError(CERTIFICATE, error.verify_message) from error
    return _Stream(reader, writer)
