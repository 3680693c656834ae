"""What the proofs about damage share: a board with a history, whose flash is damaged from outside, and what became of it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
from fargo.bundle import ROOT
from fargo.flash import BLOCK, offset, table
from littlefs import LittleFS, LittleFSError
from sim.owned_rig import RFOTM, Clear, partition
from sim.rig import ISVV, PSTAT, STATUS, UPGRADE, WAIT, Foreign, Rig

LONG = os.environ.get("FARGO_LONG") == "1"
REPORT = ROOT / "build/reliability/damage.json"
NEW, PENDING, VALID, INVALID, ABORTED = range(5)


def some(cases: list[Any], count: int, seed: int = 4) -> list[Any]:
    """All of them in a long run; else `count`, chosen by `seed`."""
    return cases if LONG or len(cases) <= count else random.Random(seed).sample(cases, count)


def entry(seq: int, state: int, crc: int | None = None) -> bytes:
    """An entry of otadata."""
    check = zlib.crc32(struct.pack("<L", seq), 0xFFFFFFFF) if crc is None else crc
    return struct.pack("<L20sLL", seq, b"\xff" * 20, state, check)


def noise(size: int, seed: int = 1) -> bytes:
    """Garbage."""
    return random.Random(seed).randbytes(size)


def count(how: str) -> None:
    """One more case that ended as `how`: "reached", or "by_usb". Kept in a long run, for the report."""
    if LONG:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        found = json.loads(REPORT.read_text()) if REPORT.exists() else {"cases": 0, "reached": 0, "by_usb": 0}
        found["cases"] += 1
        found[how] += 1
        REPORT.write_text(json.dumps(found) + "\n")


class Past:
    """An owned board that came with 1.0.0 in ota_0 and runs 1.1.0 (sequence number 2) in ota_1; 1.2.0 is on its server.

    `slot0`: 1.2.0 (3) was installed as well and runs in ota_0, and 1.3.0 is what comes next. Each case begins with the
    flash as it was then.
    """

    def __init__(self, home: Path, slot0: bool = False, **options: Any) -> None:
        self.rig = Rig(home, **options).start()
        stage = self.rig.stage
        versions = ["1.1.0", "1.2.0", "1.3.0"][: 3 if slot0 else 2]
        for number, version in enumerate(versions):
            stage.release(version, number + 2, firmware=True, change={"extra.txt": version})
        self.runs, self.next = versions[-2], versions[-1]
        self.before = versions[-3] if slot0 else "1.0.0"
        self.seq = len(versions)
        self.slot = "ota_0" if slot0 else "ota_1"
        for version in versions[:-1]:
            asyncio.run(self._update(version))
        self.rig.board.power_off()
        self.flash = stage.flash.read_bytes()
        self.known = dict(stage.identity.devices)
        self.at = 0

    async def _update(self, version: str) -> None:
        async with self.rig.client() as client:
            await updated(self.rig, client, version)

    def again(self, *patches: tuple[int, bytes]) -> Rig:
        """The board, off, with the flash of then and `patches` (offset, bytes) in it."""
        self.rig.board.power_off()
        self.rig.board.bad = ()
        stage = self.rig.stage
        for uuid in set(stage.identity.devices) - set(self.known):
            stage.identity.forget(uuid)
        for device in self.known.values():
            stage.identity.remember(device)
        stage.server.delay = stage.server.status = 0  # type: ignore[attr-defined]
        data = bytearray(self.flash)
        for at, content in patches:
            data[at : at + len(content)] = content
        stage.flash.write_bytes(data)
        self.at = len(self.rig.board.lines)
        return self.rig

    def where(self, name: str) -> int:
        """Where a partition begins."""
        return offset(self.rig.stage.layout, name)

    def said(self, text: str) -> bool:
        """Whether the board has said so since `again`."""
        return any(text in line for line in self.rig.board.lines[self.at :])

    def end(self) -> None:
        """Switch everything off."""
        self.rig.stop()


async def updated(rig: Rig, client: Foreign, version: str) -> None:
    """Update to `version`, to the end; it must be a success."""
    await client.update(rig.stage.url(version), UPGRADE, "now")
    value = await client.until(
        lambda v: v["swupdateaction"] == "idle" and v["swupdateresult"] and v["swupdatestate"] == "idle",
        timeout=2 * WAIT,
    )
    assert value["swupdateresult"] == 1, (value, await client.reason())
    assert await client.version() == version


async def survives(past: Past, runs: str | None = None, reason: str = "", update: bool = True) -> None:
    """The board starts, has its owner, runs `runs` in the end, says `reason`, has its floor, and is updated."""
    rig = past.rig
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        status = await client.until(lambda v: v["confirmed"], path=STATUS)
        assert await client.version() == (past.runs if runs is None else runs), rig.board.lines[past.at :]
        assert reason in status["reason"], status
        if reason:
            swu = await client.settled()
            assert (swu["swupdateresult"], swu["swupdatestate"]) == (8, "idle")
        if update:
            await updated(rig, client, past.next)
    await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq + update, floor(rig)
    count("reached")


async def taken_again(past: Past) -> None:
    """The board starts and has no owner; it can be owned, and then updated. The floor has not gone down."""
    rig = past.rig
    rig.owned = False
    await asyncio.to_thread(rig.start)
    await own(past)
    async with rig.client() as client:
        assert await client.version() == past.runs
        value = await client.run(rig.stage.url(past.before), ISVV)
        assert value["swupdateresult"] == 5 and "rollback" in await client.reason()
        await updated(rig, client, past.next)
    await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq + 1
    count("reached")


async def own(past: Past) -> None:
    """Become the owner of the running board, which has none: nothing is served until its RESET is done."""
    async with Clear(past.rig) as clear:
        await clear.until(lambda v: v["dos"] == {"s": RFOTM, "p": False}, path=PSTAT)
    devices = past.rig.stage.identity.devices
    await past.rig.stage.own()
    for uuid in past.known.keys() & devices.keys():
        past.rig.stage.identity.forget(uuid)


def floor(rig: Rig) -> int:
    """The sequence floor in `data` of a board that is off."""
    return int(cbor2.loads(files(rig)["floor"])["seq"])


def _mounted(data: bytes) -> LittleFS:
    sizes = {"prog_size": 32, "read_size": 32, "lookahead_size": 32}
    fs = LittleFS(block_size=BLOCK, block_count=len(data) // BLOCK, mount=False, **sizes)
    fs.context.buffer = bytearray(data)
    fs.mount()
    return fs


def files(rig: Rig, name: str = "data") -> dict[str, bytes]:
    """The files at the root of a file system that can be read."""
    fs = _mounted(partition(rig, name))
    found = {}
    for path in fs.listdir("/"):
        if fs.stat("/" + path).type == 1:
            try:
                with fs.open(path, "rb") as file:
                    found[path] = file.read()
            except LittleFSError:
                pass
    return found


def change(past: Past, name: str, edit: Callable[[LittleFS], None]) -> tuple[int, bytes]:
    """A patch for `again`: the file system `name` of then after `edit`."""
    (row,) = (row for row in table(past.rig.stage.layout) if row.name == name)
    fs = _mounted(past.flash[row.offset : row.offset + row.size])
    edit(fs)
    return row.offset, bytes(fs.context.buffer)


def put(fs: LittleFS, name: str, data: bytes | None) -> None:
    """Replace a file, or remove it."""
    if data is None:
        fs.remove(name)
    else:
        with fs.open(name, "wb") as file:
            file.write(data)
