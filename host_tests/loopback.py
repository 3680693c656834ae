"""Loopback addresses for boards, each with its own 5683 and 5684, that no other process of this machine's tests has."""

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


def address() -> str:
    """The next one."""
    with _turn:
        return next(_all)
