"""How much of a download is the flash's own time: whole updates of the simulated board, fetched by HTTPS and by CoAPs.

The board is behind an air (host_tests/air.py) of 20 ms that loses 1 % of the packets each way, and hears nothing while its
flash is busy. One line of JSON per transport, of `--runs` downloads the median: `ratio`, what the flash model takes for
the sectors of the payload / the time from the first request for the payload to the last of its sectors; and `kB_s`,
without the flash model and without loss. The other slot is full of something else, so every sector is erased.
It takes root (namespaces) and /dev/net/tun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "host_tests", ".")]

from air import Air  # noqa: E402
from fargo import onboard, watch  # noqa: E402
from fargo.authority import Authority  # noqa: E402
from fargo.client import connect  # noqa: E402
from fargo.flash import table  # noqa: E402
from fargo.follow import Quiet  # noqa: E402
from fargo.release import payloads  # noqa: E402
from fargo.serve import Server  # noqa: E402
from fargo.stage import Stage  # noqa: E402
from netns import NoNamespaces  # noqa: E402

SIZE = 400_000
FLASH_MS = 45, 12  # erasing a sector and programming 4 KB on a 4 MB flash: typical figures of data sheets
FORMS = "full", "packed", "delta"
VERSION = "1.1.0"


class Timed(Server):
    """Knows when each path was asked for first."""

    first: dict[str, float]

    def open(self, path: str) -> Any:
        """As Server's."""
        self.first.setdefault(path, time.monotonic())
        return super().open(path)


class Desk(Stage):
    """A stage in an air, with an owned board whose other slot is full. `form`: in which the release's payload comes."""

    def __init__(self, home: Path, air: Air, size: int, form: str) -> None:
        def server(folder: Path, authority: Authority) -> Timed:
            return Timed(folder, authority, air.client.address)

        super().__init__(
            home, ROOT / "examples/lamp", air.device.address, firmware_size=size, server=server,  # type: ignore[arg-type]
            settings={"ntp": "127.0.0.1"},
        )  # fmt: skip
        self.air, self.form = air, form
        self.flash_factory()
        (factory,) = (home / "factory").glob("*.suit")
        self.release(
            VERSION, 2, firmware=True, app=False, compress=form == "packed",
            bases=[payloads(factory)] if form == "delta" else [],
        )  # fmt: skip
        (self.slot,) = [row for row in table(self.layout) if row.name == "ota_1"]
        with self.started((0, 0)):
            asyncio.run(self._own())
        image = bytearray(self.flash.read_bytes())
        image[self.slot.offset : self.slot.offset + self.slot.size] = random.Random(1).randbytes(self.slot.size)
        self._owned = bytes(image)

    def firmware(self, version: str) -> bytes:
        """As Stage's; the release's in a `form` that is worth it: half as large, or one byte of 64 another."""
        if version != VERSION or self.form == "full":
            return super().firmware(version)
        image = bytearray(super().firmware("1.0.0"))
        for at in range(4096, len(image)):
            if self.form == "packed":
                image[at] &= 15
            elif at % 64 == 0:
                image[at] ^= 255
        return bytes(image)

    @contextmanager
    def started(self, flash_ms: tuple[int, int]) -> Iterator[Any]:
        """The board, serving, and the release server, each in its namespace; whoever enters is the client."""
        board = self.board(flash_ms=flash_ms)
        self.air.busy = board.busy
        with self.air.client.entered(), self.server:
            with self.air.device.entered():
                board.power_on()
            try:
                board.wait_log("serving", 30)
                yield board
            finally:
                board.power_off()

    async def _own(self) -> None:
        onboarding = await onboard.begin(self.address, self.identity, self.air.client.address)
        await onboarding.own("just-works")
        await onboarding.network.close()

    def download(self, scheme: str, flash_ms: tuple[int, int], loss: float) -> tuple[float, float]:
        """(seconds that the flash model takes for the payload's sectors, seconds that it took in all)."""
        self.flash.write_bytes(self._owned)
        self.server.first = {}  # type: ignore[attr-defined]
        with self.started(flash_ms) as board:
            began = time.monotonic()
            asyncio.run(self._download(scheme, loss))
            first = min(when for path, when in self.server.first.items() if not path.endswith((".suit", ".chunks")))  # type: ignore[attr-defined]
            begin, end = self.slot.offset, self.slot.offset + self.slot.size
            busy = [entry for entry in board.busy if entry[0] > max(first, began) and begin <= entry[2] < end]
            return sum(entry[1] for entry in busy), busy[-1][0] + busy[-1][1] - first

    async def _download(self, scheme: str, loss: float) -> None:
        async with await connect(self.address, self.identity, self.air.client.address) as client:
            await watch.set_url(client, self.url(VERSION, scheme))
            self.air.loss = loss
            outcome = await watch.download(client, Quiet(), 300)
            self.air.loss = 0
        if outcome.code:
            raise SystemExit(f"the download by {scheme} failed: {outcome.text}")


def measure(
    rtt_ms: float = 20, size: int = SIZE, loss: float = 0.01, runs: int = 5, form: str = "full"
) -> Iterator[dict[str, Any]]:
    """One result per transport."""
    with tempfile.TemporaryDirectory() as folder, Air(rtt_ms) as air:
        desk = Desk(Path(folder) / "stage", air, size, form)
        for name, scheme in (("coaps", "coaps"), ("https", "https")):
            with_flash, without = [], []
            for run in range(runs):
                air.seed(run)
                with_flash.append(desk.download(scheme, FLASH_MS, loss))
                without.append(desk.download(scheme, (0, 0), 0)[1])
            yield {
                "bench": "installer", "transport": name, "form": form, "rtt_ms": rtt_ms, "loss": loss, "bytes": size,
                "ratio": round(statistics.median(flash / total for flash, total in with_flash), 3),
                "kB_s": round(size / 1024 / statistics.median(without), 1),
                "flash_ms": round(with_flash[0][0] * 1000),
                "total_ms": round(statistics.median(total for _, total in with_flash) * 1000),
            }  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rtt", type=float, default=20, help="round trip in ms")
    parser.add_argument("--loss", type=float, default=0.01, help="packets lost each way, 0 to 1")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of the payload")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--form", choices=FORMS, default="full", help="in which the payload comes")
    options = parser.parse_args()
    try:
        with ThreadPoolExecutor(1) as thread:  # enters a namespace, which this one stays out of
            for result in thread.submit(
                lambda: list(measure(options.rtt, options.size, options.loss, options.runs, options.form))
            ).result():
                print(json.dumps(result))
    except NoNamespaces as error:
        print(f"the installer cannot be measured: {error}", file=sys.stderr)
        for name in ("coaps", "https"):
            print(json.dumps({"bench": "installer", "transport": name, "missing": "root, and /dev/net/tun"}))


if __name__ == "__main__":
    main()
