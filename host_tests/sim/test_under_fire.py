"""A whole device under fire on both ports: its Client is answered, an update completes, memory stays bounded.

Short by default; FARGO_LONG=1 burns for ten minutes, finds the rate that a Client bears, and writes
build/reliability/fire.json.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiocoap
import published
import pytest
from sim.rig import ISVV, SWU, WAIT

pytestmark = pytest.mark.alone

LONG = os.environ.get("FARGO_LONG") == "1"
SEED = int(os.environ.get("FUZZ_SEED", "1"))
HEAP = "448k"  # the simulated board's default
RATE = 200  # datagrams a second to each port, under which everything has to work
RATES = (100, 200, 500, 1000, 2000, 5000) if LONG else (RATE,)
SECONDS = 60.0 if LONG else 5.0  # at each rate
GROWTH = 64_000  # bytes of live heap: the handshakes, sessions and observers that there may be at most

PROBE = """
import asyncio
from port import collect, heap_used


async def main(device):
    while True:
        collect()
        print("heap", heap_used())
        await asyncio.sleep(0.5)
"""


class Fire:
    """An attacker, as a process of its own."""

    def __init__(self, address: str, rate: float) -> None:
        script = str(Path(__file__).with_name("attacker.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, address, str(SEED), str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.sent = self.came = self.begun = 0
        self.seconds = 0.0

    def cease(self) -> None:
        """The end of it; then `sent` (datagrams), `came` (bytes) and `seconds` are known."""
        out, _ = self.process.communicate("\n", timeout=30)
        sent, came, seconds, begun = out.split()
        self.sent, self.came, self.seconds, self.begun = int(sent), int(came), float(seconds), int(begun)

    async def __aenter__(self) -> Fire:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.to_thread(self.cease)


async def answered(client: Any, seconds: float) -> tuple[list[float], int]:
    """Seconds that each GET of a Client took until it was answered, and how many were not."""
    times, lost = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            assert (await client.ask(aiocoap.GET, SWU)).code == aiocoap.CONTENT
            times.append(time.monotonic() - began)
        except (TimeoutError, aiocoap.error.Error):
            lost += 1
    return times, lost


async def recovered(client: Any) -> float:
    """Seconds until a Client is answered when nobody fires. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT):
        while not (await answered(client, 0.1))[0]:
            pass
    return round(time.monotonic() - began, 1)


def row(times: list[float], lost: int, fire: Fire | None = None) -> dict[str, Any]:
    """Figures of one rate."""
    times = sorted(times)
    found: dict[str, Any] = {"answered": len(times), "lost": lost}
    if times:
        found["median_ms"] = round(statistics.median(times) * 1000, 1)
        found["p99_ms"] = round(times[min(len(times) * 99 // 100, len(times) - 1)] * 1000, 1)
        found["slowest_ms"] = round(times[-1] * 1000, 1)
    if fire:
        found["datagrams"], found["handshakes"] = fire.sent, fire.begun
        found["per_second"] = round(fire.sent / fire.seconds)
    return found


def heap(rig: Any, at: int) -> list[int]:
    """What was live since line `at`."""
    return [int(line.split()[1]) for line in rig.board.lines[at:] if line.startswith("heap ")]


async def settled(rig: Any) -> int:
    """Live heap when nothing happens."""
    at = len(rig.board.lines)
    while len(heap(rig, at)) < 4:
        await asyncio.sleep(0.2)
    return min(heap(rig, at))


async def test_a_client_is_answered_and_an_update_completes(make, tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(PROBE)
    rig = make(app=app, board={"heap": HEAP, "flash_ms": (2, 1)})
    rig.stage.release("1.1.0", 2)
    address = rig.stage.address
    rates: dict[str, Any] = {}
    figures: dict[str, Any] = {"rates": rates}
    async with rig.client() as client:
        times, lost = await answered(client, 2)
        figures["quiet"] = row(times, lost)
        print("\nquiet", figures["quiet"])
        figures["heap_before"] = before = await settled(rig)
        start = len(rig.board.lines)
        for rate in RATES:
            async with Fire(address, rate) as fire:
                times, lost = await answered(client, SECONDS)
            rates[str(rate)] = row(times, lost, fire)
            print("fire at", rate, "a second to each port:", rates[str(rate)], flush=True)
            assert times and (rate > RATE or not lost), rates
        await recovered(client)
        # The same while an update is fetched and written.
        async with Fire(address, RATE) as fire:
            began = time.monotonic()
            assert (await client.update(rig.stage.url("1.1.0"), ISVV, "now")).code == aiocoap.CHANGED
            while (await client.get(SWU))["swupdatestate"] != "sva":
                assert time.monotonic() - began < 3 * WAIT
            await client.tm(128)
            await client.until(lambda v: v["swupdateresult"] == 1)
            assert await client.version() == "1.1.0"
            figures["update_s"] = round(time.monotonic() - began, 1)
        during = heap(rig, start)
        figures["heap_most"] = max(during)
        figures["update_datagrams"] = fire.sent
        # As fast as can be: whether anybody is heard then is chance. Afterwards all is as before.
        async with Fire(address, 0) as fire:
            times, lost = await answered(client, SECONDS)
        figures["unlimited"] = row(times, lost, fire)
        figures["answered_again_s"] = await recovered(client)
        print("as fast as can be:", figures["unlimited"], "answered again after", figures["answered_again_s"], "s")
        times, lost = await answered(client, 2)
        assert times and not lost
        figures["heap_after"] = after = await settled(rig)
        if LONG:  # handshakes and transfers that were begun have been given up
            await asyncio.sleep(70)
            figures["heap_later"] = await settled(rig)
            print("live heap a minute later:", figures["heap_later"])
    print(
        "update under fire:", figures["update_s"], "s; live heap before, at most, after:", before, max(during), after
    )
    assert rig.board.resets == ["power", "reset"], rig.board.resets  # the one that starts the new version
    assert not [line for line in rig.board.lines if "Traceback" in line or "Error" in line]
    assert after < before + GROWTH
    if LONG:
        published.write("fire", figures)
