"""Sends a device random and damaged datagrams: `attacker.py ADDRESS SEED RATE`, RATE datagrams a second to each port (0: as
fast as it can), from many ports, until its standard input ends. Prints how many it has sent, how many bytes came back, in
how many seconds, and how many handshakes it has begun: every two seconds it answers a cookie, and sends damage after it.

What it damages: the datagrams of recorded sessions with the reference onboarding tool, of CoAP, and what fuzzing has found.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / f) for f in ("host_tests", "host_tests/fuzz", "lib")]

import pcap  # noqa: E402
from coap.message import pack  # noqa: E402
from dtls.wire import vector  # noqa: E402
from mutator import Random, mutated  # noqa: E402
from seeds import inputs  # noqa: E402
from target import parts  # noqa: E402

PORTS = 5683, 5684
SOURCES = 48
LONGEST = 1472
EVERY = 2.0  # seconds between two cookies that are answered: more often, and nobody else would get a place
MADE = 4000  # damaged datagrams made ahead: making them takes longer than sending


def examples() -> list[bytes]:
    """Good datagrams, of all kinds."""
    found = []
    for name in ("obt-just-works", "obt-update"):
        found += [datagram.data for datagram in pcap.read(ROOT / f"host_tests/vectors/{name}.pcap")]
    for name in ("coap-endpoint", "dtls-server"):
        found += [data for whole in inputs(name) for _, data in parts(whole) if data]
    view = memoryview(bytearray(1500))
    for number, (code, path) in enumerate(
        ((1, "oic/res"), (1, "oic/d"), (2, "oc/swu"), (1, "lamp"), (2, "oic/sec/doxm"))
    ):
        for options in ([], [(6, 0)], [(23, 0x16)], [(27, 8)]):
            whole = [(11, part) for part in path.split("/")] + options
            found.append(bytes(view[: pack(view, number & 1, code, number, b"abcd", whole, b"\xa0" * (code - 1))]))
    return found


def record(data: bytes, content: int = 22, epoch: int = 0) -> bytes:
    """A record in the clear."""
    return bytes((content,)) + b"\xfe\xfd" + epoch.to_bytes(2, "big") + bytes(6) + vector(2, data)


def hello(cookie: bytes = b"", suites: bytes = b"\xc0\xa8", extensions: bytes = b"") -> bytes:
    """A ClientHello in a record."""
    body = b"\xfe\xfd" + bytes(range(32)) + b"\0" + vector(1, cookie) + vector(2, suites) + b"\1\0" + extensions
    size = len(body).to_bytes(3, "big")
    return record(b"\1" + size + bytes(2) + bytes(3) + size + body)


def main() -> None:
    address, seed, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    random = Random(seed)
    good = examples()
    made = [mutated(random, good, LONGEST) if i % 4 else good[random.below(len(good))] for i in range(MADE)]
    made += [hello()] * (MADE // 20)
    made += [random.bytes(1 + random.below(200)) for _ in range(MADE // 10)]
    sockets = []
    for port in PORTS * SOURCES:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((address, port))
        sockets.append(sock)
    print("ready", flush=True)
    sent = came = begun = 0
    last = began = time.monotonic()
    while True:
        if sent % 64 == 0:
            if select.select([sys.stdin], [], [], 0)[0]:
                break
            for sock in sockets:
                with contextlib.suppress(OSError):
                    while True:
                        data = sock.recv(2048)
                        came += len(data)
                        if data[:1] == b"\x16" and data[13:14] == b"\3" and time.monotonic() - last > EVERY:
                            last = time.monotonic()
                            sock.send(hello(data[28:44]))
                            begun += 1
        if rate and sent >= (time.monotonic() - began) * rate * len(PORTS):
            if select.select([sys.stdin], [], [], 0.001)[0]:
                break
            continue
        # Both ports in turn, each time from another source.
        sock = sockets[random.below(SOURCES) * len(PORTS) + sent % len(PORTS)]
        with contextlib.suppress(OSError):  # the device's ICMP, or the machine's buffers
            sock.send(made[random.below(len(made))])
        sent += 1
    print(sent, came, time.monotonic() - began, begun)


if __name__ == "__main__":
    main()
