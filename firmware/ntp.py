"""The question for the time (SNTP, RFC 4330). A phase: the clock asks every few hours."""

import asyncio

from port import const, readable, urandom
from port.sockets import address, udp_socket
from swupdate.install.dns import resolve

_NTP_PORT = const(123)
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970 (RFC 5905)
_PACKET = const(48)
_APART_S = const(60)  # two that are right may differ by so much: the second takes its time, and clocks drift


async def ask(name, name_server, now):
    """Unix seconds, by the NTP server called `name`. Raises OSError, or Fault when the name is not found.

    One answer alone is not believed: it must agree with the device's own clock, `now()`, or with a second answer, whose
    server's address is asked for anew.
    """
    first = await _answer(name, name_server)
    if abs(first - now()) <= _APART_S:
        return first
    second = await _answer(name, name_server)
    if abs(second - first) > _APART_S:
        raise OSError("two answers of the NTP server differ by %d s" % abs(second - first))
    return second


async def _answer(name, name_server):
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
    head = reply[0] if len(reply) == _PACKET else 0
    # Leap indicator 3: the server does not know the time itself. Stratum 0: it refuses.
    if head & 7 != 4 or head >> 6 == 3 or not 0 < reply[1] < 16 or reply[24:32] != request[40:48]:
        raise OSError("the NTP server's answer is not one")
    seconds = int.from_bytes(reply[40:44], "big")
    if seconds < 0x80000000:  # the era that begins in 2036
        seconds += 1 << 32
    return seconds - _NTP_TO_UNIX
