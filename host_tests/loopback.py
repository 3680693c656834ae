"""Loopback addresses for boards, each with its own 5683 and 5684, and ports, that no other process of the tests has."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

_HELD: list[socket.socket] = []


def _is_free(address: str) -> bool:
    """Whether a board can serve there: nobody has these ports at this address, or at all addresses."""
    for port in (5683, 5684):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def _addresses() -> Iterator[str]:
    """All but the first of a block of 256; that one says that the block is taken, for as long as this process lives.

    A board may have outlived the process that had the block before: an address with one is left out.
    """
    for block in random.SystemRandom().sample(range(0x1000, 0xFF00), 0x1000):
        prefix = f"127.{block >> 8}.{block & 255}."
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((prefix + "1", 5683))
        except OSError:
            sock.close()
            continue
        _HELD.append(sock)
        yield from filter(_is_free, (prefix + str(number) for number in range(2, 255)))


_all = _addresses()
_turn = threading.Lock()
_ports: set[int] = set()


def address() -> str:
    """The next one."""
    with _turn:
        return next(_all)


def port(count: int = 1) -> int:
    """The first of so many ports in a row of 127.0.0.1 that nobody has, for UDP or TCP, given once in a process.

    They are below those that the system chooses from: it gives a port that was only looked for to another process that
    asks for any, while the program that is to have it still starts.
    """
    while True:
        first = random.SystemRandom().randrange(20_000, 32_000)
        wanted = set(range(first, first + count))
        with _turn, contextlib.ExitStack() as stack:
            try:
                if wanted & _ports:
                    continue
                for number in wanted:
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", number))
            except OSError:
                continue
            _ports.update(wanted)
            return first
