"""One question for the time (SNTP, RFC 4330). A phase: the clock asks every few hours."""

import asyncio

from port import address, const, readable, udp_socket, urandom
from swupdate.install.dns import resolve

_NTP_PORT = const(123)
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970 (RFC 5905)
_PACKET = const(48)


async def ask(name, name_server):
    """Unix seconds, by the NTP server called `name`. Raises OSError, or Fault when the name is not found."""
    host = await resolve(name, name_server)
    sock = udp_socket()
    try:
        request = bytearray(_PACKET)
        request[0] = 0x23  # version 4, client
        request[40:48] = urandom(8)  # the server echoes it, so a blind answer cannot match
        sock.sendto(request, address(host, _NTP_PORT))
        await asyncio.wait_for(readable(sock), 3)
        reply, _ = sock.recvfrom(_PACKET)
    finally:
        sock.close()
    if len(reply) < _PACKET or reply[0] & 7 != 4 or not 0 < reply[1] < 16 or reply[24:32] != request[40:48]:
        raise OSError("the NTP server's answer is not one")
    seconds = int.from_bytes(reply[40:44], "big")
    if seconds < 0x80000000:  # the era that begins in 2036
        seconds += 1 << 32
    return seconds - _NTP_TO_UNIX
