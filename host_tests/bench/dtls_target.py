"""A DTLS server with 270 bytes at /swu, for bench_dtls.py: `micropython dtls_target.py REPOSITORY PORT`.

First 100 P-256 multiplications (ECDH), between two lines that are answered; then "ready". /heap answers the live bytes.
"""

import asyncio
import gc
import os
import sys

sys.path.insert(0, sys.argv[1] + "/lib")

from coap.endpoint import Endpoint
from coap.message import Response
from coap.udp import UdpTransport
from crypto import ecdh, p256
from dtls.transport import DtlsTransport

BODY = bytes(270)
MULTIPLICATIONS = 100
PSK = bytes(range(16))  # of a bench that nothing but itself speaks with


class Credentials:
    """One key for everybody; certificates are any bytes, and everybody has the same key pair."""

    def __init__(self):
        self.pair = p256.key_pair(os.urandom)

    def suites(self):
        return 0xFF00, 0xC037, 0xC0A8, 0xC0AE, 0xC0AC

    def hint(self):
        return b"bench"

    def psk(self, identity):
        return PSK, "client"

    def certificate(self):
        return [bytes(500)], self.pair[0]

    async def trust(self, chain):
        return chain[0][:64], "client"  # the bench's certificate begins with its key

    def opened(self, session):
        pass

    closed = opened


def answer(request):
    if request.path == "/heap":
        gc.collect()
        return Response(0x45, str(gc.mem_alloc()).encode(), 0)
    if request.path == "/key":
        return Response(0x45, credentials.pair[1], 42)
    return Response(0x45, BODY, 42)


def multiply():
    """The unit of the handshakes' cost; whoever started this program looks at its processor time before and after."""
    private, public = p256.key_pair(os.urandom)
    print("multiplying")
    sys.stdin.readline()
    for _ in range(MULTIPLICATIONS):
        ecdh.agree(private, public)
    print("multiplied")
    sys.stdin.readline()


async def main():
    multiply()
    transport = DtlsTransport(UdpTransport("127.0.0.1", int(sys.argv[2]), limit=1500), credentials)
    endpoint = Endpoint(transport, answer)
    print("ready")
    await endpoint.run()


credentials = Credentials()
asyncio.run(main())
