"""The question for the time (SNTP, RFC 4330). A phase."""

import asyncio

from port import const, readable, urandom
from port.sockets import address, udp_socket

_NTP_PORT = const(123)
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970 (RFC 5905)
_PACKET = const(48)


async def answer(host):
    """Unix seconds, by the NTP server at the address `host`. Raises OSError."""
    sock = udp_socket()
    try:
        request = bytearray(_PACKET)
        request[0] = 0x23  # version 4, client
        request[40:48] = urandom(8)  # the server echoes it, so a blind answer cannot match
        sock.sendto(request, address(host, _NTP_PORT))
        await asyncio.wait_for(readable(sock), 3)
        reply, _ = sock.recvfrom(_PACKET)
    except asyncio.TimeoutError:  # noqa: UP041 - another class on MicroPython
        raise OSError("no answer")  # noqa: B904 - no `from` on MicroPython
    finally:
        sock.close()
    head = reply[0] if len(reply) == _PACKET else 0
    # Leap indicator 3: the server does not know the time itself. Stratum 0: it refuses.
    if head & 7 != 4 or head >> 6 == 3 or not 0 < reply[1] < 16 or reply[24:32] != request[40:48]:
        raise OSError("the NTP server's answer is not one")
    seconds = int.from_bytes(reply[40:44], "big")
    if seconds < 0x80000000:  # the era that begins in 2036
        seconds += 1 << 32
    return seconds - _NTP_TO_UNIX
