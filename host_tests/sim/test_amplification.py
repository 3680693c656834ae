"""What a stranger can have the whole device send to an address that he forges: in the clear, and before a DTLS cookie."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import aiocoap
import cbor2
import published
from coap.message import pack
from dtls.cookie import Opening
from dtls.wire import vector
from sim.attacker import hello, record
from sim.owned_rig import Clear
from sim.rig import PSTAT

CODES = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5}
HREFS = (
    "oic/res", "oic/d", "oic/p", "oic/sec/doxm", "oic/sec/pstat", "oic/sec/cred", "oic/sec/acl2", "oc/swu",
    "oc/wk/introspection",    "oc/introspection", "lamp", "none",
)  # fmt: skip
QUERIES = ("", "if=oic.if.baseline", "if=oic.if.b", "rt=oic.wk.res")
RATE, BURST = 4000, 24576  # bytes a second, bytes: firmware.begin, coap.endpoint
FLOOD = 6.0  # seconds
CLIENTS = 6
ANSWERED = ("the shortest hello", "a hello with a wrong cookie")


class Stranger:
    """Sends datagrams to the device, and counts what comes back."""

    def __init__(self, host: str, port: int = 5683) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, port))

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def ask(self, data: bytes, wait: float = 1.0) -> bytes:
        """What one message is answered with, all of it; nothing within `wait` seconds is no answer.

        Not what comes late to the question before, on a busy machine: an answer has its message ID.
        """
        return self.hear(data, wait, lambda answer: answer[2:4] == data[2:4])

    def hear(self, data: bytes, wait: float, takes: Callable[[bytes], bool] = bool) -> bytes:
        """All that comes after one datagram, and that it takes."""
        self.socket.settimeout(wait)
        self.socket.send(data)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            while True:
                part = self.socket.recv(4096)
                if takes(part):
                    answer += part
                    self.socket.settimeout(0.02)
        return answer

    def flood(self, data: list[bytes], seconds: float, rate: float) -> tuple[int, int]:
        """Bytes sent, and received, of `rate` datagrams a second."""
        self.socket.setblocking(False)
        sent = received = count = 0
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds + 0.5:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                while True:
                    received += len(self.socket.recv(4096))
            if now < seconds and count < now * rate:
                sent += self.socket.send(data[count % len(data)])
                count += 1
            else:
                time.sleep(0.001)
        return sent, received


def message(code: int, href: str, query: str = "", mid: int = 1) -> bytes:
    """The shortest request: no token."""
    view = memoryview(bytearray(200))
    options = [(11, part) for part in href.split("/")] + [(15, query)] * bool(query)
    return bytes(view[: pack(view, 0, code, mid, options=options)])


async def factors(stranger: Stranger) -> dict[str, float]:
    """Bytes of each answer for one of the question."""
    found = {}
    mid = 0
    for method, code in CODES.items():
        for href in HREFS:
            for query in QUERIES if (method, href) == ("GET", "oic/res") else ("",):
                mid += 1
                data = message(code, href, query, mid)
                answer = await asyncio.to_thread(stranger.ask, data)
                found[f"{method} /{href}{'?' * bool(query)}{query}"] = round(len(answer) / len(data), 1)
                await asyncio.sleep(len(answer) / RATE)  # what is measured here is not the limit
    return found


async def test_the_clear(make):
    """The factor of every answer; in a flood of the worst of them the limit; and Clients who look for the device meanwhile
    and afterwards."""
    rig = make()
    with Stranger(rig.stage.address) as stranger:
        owned = await factors(stranger)
        worst = max(owned, key=lambda name: owned[name])
        assert worst.startswith("GET /oic/res")
        assert all(factor < 3 for name, factor in owned.items() if name.split()[1] not in ("/oic/d", "/oic/p") and
                   not name.startswith("GET /oic/res")), owned  # fmt: skip
        await asyncio.sleep(BURST / RATE)
        began = time.monotonic()
        questions = [message(1, "oic/res", mid=i) for i in range(1, 60000)]
        sent, received = await asyncio.to_thread(stranger.flood, questions, FLOOD, 300)
        limit = 3 * sent + BURST + RATE * (time.monotonic() - began) + 1300
        assert BURST < received < limit, (sent, received, limit)
    await asyncio.sleep(2 * CLIENTS)
    began = time.monotonic()
    found = await asyncio.gather(*(discover(rig) for _ in range(CLIENTS)))
    assert len(set(found)) == 1 and found[0] > 10, found
    spent = time.monotonic() - began
    figures: dict[str, Any] = {
        "clear": {
            "largest_factor": owned[worst], "largest": worst, "factors": owned, "limit_bytes_per_second": RATE,
            "burst": BURST, "flood": {"sent": sent, "received": received, "seconds": FLOOD},
            "clients_at_once": CLIENTS, "their_seconds": round(spent, 2),
        },
        "dtls_before_cookie": await hellos(rig.stage.address),
    }  # fmt: skip
    published.write("amplification", figures)
    print(f"in the clear {owned[worst]} bytes for one ({worst}); flooded with {sent:,} bytes it sent {received:,}")
    print(f"{CLIENTS} Clients at once found it in {spent:.1f} s; before a cookie:", figures["dtls_before_cookie"])
    assert figures["dtls_before_cookie"]["largest_factor"] < 3
    assert rig.board.resets == ["power"] and not [line for line in rig.board.lines if "Traceback" in line]


async def discover(rig: Any) -> int:
    """How many Resources one Client finds, in as many blocks as it takes."""
    async with Clear(rig) as client:
        assert (await client.ask(aiocoap.GET, "oic/d")).code == aiocoap.CONTENT
        return len(cbor2.loads((await client.ask(aiocoap.GET, "oic/res")).payload))


async def hellos(address: str) -> dict[str, Any]:
    """The factor of each kind of first datagram to the secured port."""
    found = {}
    for name, data in first().items():
        with Stranger(address, 5684) as stranger:  # each from another port, where no late answer to another comes
            answer = await asyncio.to_thread(stranger.hear, data, 10.0 if name in ANSWERED else 0.5)
        found[name] = round(len(answer) / len(data), 2)
    assert all(found[name] > 0 for name in ANSWERED), found
    return {"largest_factor": max(found.values()), "factors": found}


def first() -> dict[str, bytes]:
    """First datagrams of strangers."""
    extensions = vector(2, b"\0\x0a\0\4\0\2\0\x17")
    shortest = hello()
    Opening(shortest[25:])
    request = record(b"\x10" + bytes(11))
    return {
        "the shortest hello": shortest,
        "a hello with extensions": hello(extensions=extensions),
        "a hello with a wrong cookie": hello(cookie=bytes(16)),
        "a hello with many suites": hello(suites=bytes(200)),
        "a hello without our suites": hello(suites=b"\x13\1"),
        "a hello of version 1.0": hello().replace(b"\xfe\xfd", b"\xfe\xff"),
        "ten hellos in one datagram": hello() * 10,
        "half a hello": shortest[:40],
        "a ClientKeyExchange": request,
        "an alert": record(b"\2\x28", 21),
        "application data": record(bytes(64), 23, 1),
        "a ChangeCipherSpec": record(b"\1", 20),
        "a message of CoAP": message(1, "oic/res"),
        "one byte": b"\x16",
    }


async def test_nobody_owns_it_yet(make):
    """The same limit holds before there is an owner, and the answers to an onboarding tool are small."""
    rig = make(owned=False)
    with Stranger(rig.stage.address) as stranger:
        found = await factors(stranger)
    print("without an owner:", {name: factor for name, factor in found.items() if factor >= 3})
    async with Clear(rig) as client:
        for _ in range(10):  # a tool asks a few times a second
            assert (await client.get(PSTAT))["dos"]["s"] == 1
            assert (await client.get("oic/sec/doxm"))["owned"] is False
            await asyncio.sleep(0.2)
