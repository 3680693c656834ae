"""`coap.udp` where there is no memory for what comes, and what a handshake makes of that."""

import asyncio
import sys

from check import raises
from coap.udp import UdpTransport


async def test_datagrams_without_memory_are_counted():
    """Who gets no answer then knows why. A longer one than there is memory for is lost, and the next one comes."""
    udp = UdpTransport("127.0.0.1", 0)
    real, sent = udp._sockets[0], [bytes(900), b"short"]

    class Scarce:
        def recvfrom(self, size):
            if size > 800:
                raise MemoryError
            return sent.pop(0)[:size], "peer"

        def listen(self, _count):
            raise OSError

    udp._sockets[0] = Scarce()
    kept = sys.modules["coap.udp"].readable
    sys.modules["coap.udp"].readable = lambda _sock: asyncio.sleep(0)
    try:
        data, _peer, _multicast = await udp.receive()
        assert bytes(data) == b"short" and udp.starved == 1 and not sent
    finally:
        sys.modules["coap.udp"].readable = kept
        udp._sockets[0] = real
        udp.close()


def test_a_handshake_without_memory_for_its_answer_is_not_said_to_be_unanswered():
    from firmware import coap_lost

    class Refused(OSError):
        code = 115

    assert "no answer" in coap_lost.refused(OSError(), None, 0).text
    assert "does not know this Device" in coap_lost.refused(Refused(), None, 1).text
    with raises(MemoryError):
        coap_lost.refused(OSError(), None, 1)
