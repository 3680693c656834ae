"""What the proofs about attacks share: releases that an attacker would make, and what must be so after each of them."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from fargo import suit
from recipe import Recipe, sha
from recipe import table as chunk_table
from sim.owned_rig import partition
from sim.rig import IDLE, ISAC, PSTAT, STATUS, SWU, UPGRADE, WAIT, Foreign, Rig
from swupdate.install.envelope import digest as manifest_digest

numbers = itertools.count(100)  # sequence numbers, above those of what runs
UPDATED = "1.5.0"  # what `updated` leaves running, with the sequence number 50


async def updated(rig: Rig) -> Rig:
    """Have the board run UPDATED, so that there is something to go back to."""
    rig.stage.release(UPDATED, 50, firmware=True)
    async with rig.client() as client:
        await client.update(rig.stage.url(UPDATED), UPGRADE, "now")
        await client.until(lambda v: v["swupdateresult"] == 1)
    return rig


@contextmanager
def updated_board(home: Path, **board: Any) -> Iterator[Rig]:
    """A board that was updated once, for the tests of a module; it must not be reset by any of them."""
    rig = Rig(home, board=board).start()
    asyncio.run(updated(rig))
    yield rig
    resets = list(rig.board.resets)
    rig.stop()
    assert resets == ["power", "reset"], resets
    assert not [line for line in rig.board.lines if "Traceback" in line]


def part(rig: Rig, half: str = "app") -> bytes:
    """A payload that this board could run."""
    if half == "fw":
        return rig.stage.firmware("2.0.0")
    if not hasattr(rig, "app_payload"):
        rig.app_payload = rig.stage.app_image({"extra.txt": "2.0.0"})  # type: ignore[attr-defined]
    return rig.app_payload  # type: ignore[attr-defined, no-any-return]


def recipe(rig: Rig, *halves: str, seq: int | None = None, **payloads: bytes) -> Recipe:
    """A release that is right, for this very board, and lies on its server; a test spoils one thing of it."""
    parts = [(half, payloads.get(half) or part(rig, half)) for half in halves or ("app",)]
    made = Recipe(parts, seq or next(numbers), "2.0.0")
    for i in range(len(parts)):
        made.set(1, rig.stage.vendor, i).set(2, rig.stage.class_id, i)
    for name, data in made.files().items():
        (rig.stage.releases / name).write_bytes(data)
    return made


def signed(rig: Rig, manifest: Recipe | bytes, *blocks: bytes) -> bytes:
    """An envelope that the release key has signed, or that has these signatures instead."""
    data = manifest if isinstance(manifest, bytes) else manifest.manifest()
    return suit.envelope(data, list(blocks) or [by(rig.stage.keys[0], data)])


def by(key: ec.EllipticCurvePrivateKey, manifest: bytes) -> bytes:
    """The signature of a manifest by `key`."""
    return suit.sign(suit._digest(manifest_digest(manifest)), key)


def serve(rig: Rig, envelope: bytes) -> str:
    """Lay the envelope on the server: its URL."""
    name = f"attack-{sha(envelope).hex()[:16]}.suit"
    (rig.stage.releases / name).write_bytes(envelope)
    return rig.stage.server.url(name)


def asked(rig: Rig) -> dict[str, int]:
    """How often each file was asked for."""
    return {path: count.requests for (_, path), count in rig.stage.server.counts.items()}


def flash(rig: Rig) -> dict[str, bytes]:
    """What decides about what runs, and what runs."""
    return {name: partition(rig, name) for name in ("otadata", "ota_0", "app_0", "ota_1", "app_1")}


async def refused(
    rig: Rig, client: Foreign, url: str, reason: str, result: int = 5, action: str = UPGRADE, payload: bool = False
) -> None:
    """`action` at `url` ends with `result` and just this `reason`, and the board is none the worse for it.

    Unless `payload` says that it takes the payload to find out, nothing but the envelope was asked for, and the other
    slot is as it was. In no case was anything armed, or the running slot touched.
    """
    version = await client.version()
    if (await client.get(SWU))["swupdatestate"] != "idle":  # an offer that is known would be kept
        await client.run(rig.stage.url("1.0.0"), ISAC)
    before, was, resets = asked(rig), flash(rig), list(rig.board.resets)
    swu = await client.run(url, action)
    status = await client.get(STATUS)
    assert status["reason"] == reason, status
    found = swu["swupdateresult"], swu["swupdatestate"], swu["swupdateaction"], swu["nv"]
    assert found == (result, "idle", IDLE, ""), found
    assert (await client.get(PSTAT))["cm"] == (await client.get(PSTAT))["tm"] == 0
    wanted = {path for path, count in asked(rig).items() if count != before.get(path, 0)}
    envelope = "/" + url.rpartition("/")[2].partition("?")[0]
    assert wanted <= {envelope} or payload, wanted
    now = flash(rig)
    running = "01" if status["slot"] == "ota_0" else "10"
    names = ["otadata", "ota_" + running[0], "app_" + running[0]]
    if not payload:
        names += ["ota_" + running[1], "app_" + running[1]]
    assert [name for name in names if now[name] != was[name]] == []
    assert status["running"] == await client.version() == version and status["confirmed"] is True
    assert "value" in await client.get("lamp") and rig.board.resets == resets


async def all_refused(
    rig: Rig, cases: dict[str, tuple[Callable[[Rig], Any], str]], payload: str = "", within: float = WAIT
) -> None:
    """Each of `cases`: what makes the release (or its whole envelope), and the reason. `payload`: the one that needs it.

    `within`: seconds that each may take.
    """
    async with rig.client() as client:
        for name, (make, reason) in cases.items():
            made = make(rig)
            try:
                url = serve(rig, made if isinstance(made, bytes) else signed(rig, made))
                began = time.monotonic()
                await refused(rig, client, url, reason, payload=name == payload)
                assert time.monotonic() - began < within
            except BaseException as error:
                error.add_note(name)
                raise


def renamed(made: Recipe, data: bytes, index: int) -> Recipe:
    """Let a component be another payload, table and all."""
    name = sha(data)[:16].hex()
    made.set(3, suit._digest(sha(data)), index).set(14, len(data), index)
    made.set(-1, sha(chunk_table(data)), index).set(-2, name + ".chunks", index)
    made.install[8 * index + 3] = {21: name + ".bin"}
    return made


def file(rig: Rig, data: bytes, suffix: str) -> Path:
    """Where the payload `data`, or its table, lies on the server."""
    return rig.stage.releases / (sha(data)[:16].hex() + suffix)


class Wire:
    """Between a Client and the device: everything that the Client sends is kept, and can be sent again.

    Use it in a `with` block; `client` is led through it.
    """

    def __init__(self, rig: Rig, client: Foreign) -> None:
        self._device = (rig.stage.address, 5684)
        self.sent: list[bytes] = []
        self.answers = 0
        self._front, self._back = self._socket(), self._socket()
        self._client: Any = None
        client._tunnel.device = self._front.getsockname()

    @staticmethod
    def _socket() -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind(("127.0.0.1", 0))
        return found

    def __enter__(self) -> Wire:
        for run in (self._there, self._back_again):
            threading.Thread(target=run, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for sock in (self._front, self._back):
            sock.close()

    def _there(self) -> None:
        while True:
            try:
                data, self._client = self._front.recvfrom(2048)
                self.sent.append(data)
                self._back.sendto(data, self._device)
            except OSError:
                return

    def _back_again(self) -> None:
        while True:
            try:
                data = self._back.recv(2048)
                self.answers += 1
                self._front.sendto(data, self._client)
            except OSError:
                return

    def replay(self, datagrams: Iterable[bytes], elsewhere: bool = False) -> None:
        """Send these again: from the Client's own address, or from one that the device does not know."""
        sock = self._socket() if elsewhere else self._back
        for data in datagrams:
            sock.sendto(data, self._device)
            time.sleep(0.01)  # the device's queue is short
        if elsewhere:
            sock.close()
