"""A CoAP server made of `lib/coap` for foreign clients: `micropython coap_target.py REPOSITORY PORT`."""

import asyncio
import sys

root, port = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, root + "/lib")

from coap.endpoint import Endpoint  # noqa: E402
from coap.message import Refused, Response  # noqa: E402
from coap.udp import UdpTransport  # noqa: E402
from port import sleep_ms  # noqa: E402

BODY = bytes(i * 7 & 0xFF for i in range(3500))
# About what a device answers to GET /oc/swu.
SWU = b"\xa8" + bytes(269)
state = 0
stored = b""


async def slow():
    await sleep_ms(400)
    return Response(0x45, b"slow", 0)


def handle(request):
    global state, stored
    path = request.path
    if path == "/swu":
        return Response(0x45, SWU, 10000)
    if path == "/big":
        return Response(0x45, BODY, 42)
    if path == "/slow":
        return slow()
    if path == "/crash":
        raise KeyError("crash")
    if path == "/count":
        if request.code == 2:
            state += 1
            endpoint.notify("count")
            return Response(0x44)
        return Response(0x45, b"%d" % state, 0, observe="count")
    if path == "/store":
        if request.code in (2, 3):
            stored = request.payload
            return Response(0x44)
        return Response(0x45, stored, 42)
    if path == "/echo":
        return Response(0x44, request.payload, request.content_format)
    raise Refused(0x84, "nothing here")


endpoint = Endpoint(UdpTransport("127.0.0.1", port), handle, separate_after=100)


async def main():
    print("ready")
    await endpoint.run()


asyncio.run(main())
