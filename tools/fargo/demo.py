"""`make demo`: a simulated ESP32 updates itself, refuses what it must, and comes back from what breaks."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import port
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from fargo import bundle, watch
from fargo.client import COAP_PORT, DeviceClient, connect
from fargo.console import Failure
from fargo.network import Network, exchange
from fargo.replies import code_text
from fargo.stage import Stage

APP = bundle.ROOT / "examples/lamp"
CRASH = 'async def main(device):\n    raise RuntimeError("this app crashes on start")\n'
_SCREEN_WIDTH = 110


class Screen:
    """Shows what happens, with the seconds since the start; the listener of fargo.watch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()

    def line(self, text: str, style: str = "") -> None:
        """One line with its time."""
        self.console.print(
            f"[dim]{time.monotonic() - self.began:6.1f} s[/]  [{style or 'default'}]{text}[/]", highlight=False
        )

    def title(self, text: str) -> None:
        """What comes next."""
        self.console.print()
        self.console.print(f"[bold cyan]{text}[/]")

    def event(self, text: str, **_fields: Any) -> None:
        """A state, a notification; not what an observation shows when it begins, and no routine."""
        if "updatetime" in text or "isop" in text or text in ("status reason -", "swu    nv -"):
            return
        if text.startswith("status") and "reason" not in text:
            return
        self.line(text.replace("[", "\\["))

    def progress(self, description: str, total: float | None = None) -> _Bar:
        """A bar while bytes come in; on a terminal only."""
        return _Bar(self.console, description, total)


class _Bar:
    def __init__(self, console: Console, description: str, total: float | None) -> None:
        columns = (TextColumn("          {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(description, total=total)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._progress.stop()

    def update(self, done: float, total: float | None = None, description: str | None = None) -> None:
        """Bytes done."""
        changes: dict[str, Any] = {"completed": done}
        if total is not None:
            changes["total"] = total
        if description is not None:
            changes["description"] = description
        self._progress.update(self._task, **changes)


class Demo:
    """The acts, in order; each appends a row to the table of what happened, and stops the demo when it went wrong."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage = stage
        self.screen = screen
        self.rows: list[tuple[str, str, str, str]] = []
        self.board = stage.board()

    def happened(self, act: str, outcome: watch.Outcome, result: int, version: str, note: str = "") -> None:
        """A row; raises AssertionError when it is not what was promised."""
        words = note or outcome.reason or ("up to date" if outcome.ok else "")
        self.rows.append((act, str(outcome.result), outcome.after, words))
        got = (outcome.result, outcome.after)
        if got != (result, version):
            raise AssertionError(f"{act}: expected result {result} and version {version}, got {got}: {words}")

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[DeviceClient]:
        """A connection to the board."""
        client = await connect(self.stage.address, self.stage.identity, "127.0.0.1")
        async with client:
            yield client

    async def update(self, version: str) -> watch.Outcome:
        """All steps, from the release's URL to the end."""
        async with self.client() as client:
            return await watch.update(client, self.screen, self.stage.url(version), 60)

    # The acts

    async def ownership(self) -> None:
        self.screen.title("Nobody owns it yet: discovery in the clear, then Just Works over DTLS")
        try:
            async with self.client():
                raise AssertionError("a device without an owner let somebody in")
        except Failure as refused:
            self.screen.line(refused.text, "yellow")
        known = await self.stage.own()
        self.screen.line(f"owned: {known.uuid}, its key derived on both sides", "green")
        async with self.client() as client:
            self.screen.line(f"{client.host} answers over DTLS: it runs version {await client.version()}")
            stranger = await connect_clear(self.stage.address)
            self.screen.line(f"GET /oc/swu in the clear: {stranger}", "yellow")
            assert stranger.startswith("4.01")
        self.rows.append(("ownership", "-", "1.0.0", "owned by Just Works; refused in the clear"))

    async def new_version(self) -> None:
        self.screen.title("1.1.0, firmware and app: check, download, upgrade")
        self.stage.release("1.1.0", 2, firmware=True)
        async with self.client() as client:
            await watch.set_url(client, self.stage.url("1.1.0"))
            began = time.monotonic()
            size = 0
            for verb in (watch.check, watch.download, watch.upgrade):
                outcome = await verb(client, self.screen, 60)
                size = max(size, outcome.bytes)
                self.screen.line(outcome.text, "green" if outcome.ok else "red")
        seconds = time.monotonic() - began
        rate = size / 1000 / seconds
        self.screen.line(
            f"1.0.0 -> {outcome.after}, {size:,} bytes, {seconds:.1f} s, {rate:.0f} KB/s with the restart", "bold"
        )
        self.happened("a new version", outcome, 1, "1.1.0", "installed, tried, kept")

    async def crashing(self) -> None:
        self.screen.title("1.2.0, an app that crashes on start")
        self.stage.release("1.2.0", 3, change={"app.py": CRASH})
        outcome = await self.update("1.2.0")
        self.screen.line(outcome.text, "yellow")
        self.happened("a version that crashes", outcome, 8, "1.1.0")

    async def tampered(self) -> None:
        self.screen.title("1.3.0, one bit of the payload changed on the server")
        before = set(self.stage.releases.glob("*.bin"))
        self.stage.release("1.3.0", 4, change={"extra.txt": "tampered"})
        (payload,) = set(self.stage.releases.glob("*.bin")) - before
        data = bytearray(payload.read_bytes())
        data[data.index(b"tampered")] ^= 1  # in what has to be fetched: all else is on the device already
        payload.write_bytes(data)
        outcome = await self.update("1.3.0")
        self.screen.line(outcome.text, "yellow")
        self.happened("a tampered payload", outcome, 5, "1.1.0")

    async def wrongly_signed(self) -> None:
        self.screen.title("1.4.0, signed by a key that this device does not trust")
        before = set(self.stage.releases.iterdir())
        stranger = ec.generate_private_key(ec.SECP256R1())
        envelope = self.stage.release("1.4.0", 5, change={"extra.txt": "stranger"}, signers=[stranger])
        outcome = await self.update("1.4.0")
        self.screen.line(outcome.text, "yellow")
        payloads = set(self.stage.releases.iterdir()) - before - {envelope}
        asked = sum(self.stage.server.count("/" + path.name, None).requests for path in payloads)
        assert asked == 0, "payload was fetched before the signature was verified"
        self.screen.line(f"bytes of payload fetched: {asked}")
        self.happened("signed by a stranger", outcome, 5, "1.1.0")

    async def server_dies(self) -> None:
        self.screen.title("1.5.0, firmware and app: the server dies half-way, and comes back")
        self.stage.release("1.5.0", 6, firmware=True)
        total = sum(path.stat().st_size for path in self.stage.releases.glob("*.bin"))
        async with self.client() as client:
            await watch.set_url(client, self.stage.url("1.5.0"))
            download = asyncio.create_task(watch.download(client, self.screen, 60))
            size = 0
            async with asyncio.timeout(30):
                while not size or (await client.read_status())["done"] < 0.4 * size:
                    size = (await client.read_status())["total"]
                    await asyncio.sleep(0.1)
            self.stage.server.stop()
            self.screen.line("the server is gone", "red")
            outcome = await download
            self.screen.line(outcome.text, "yellow")
            self.happened("the server dies half-way", outcome, 4, "1.1.0")
            self.stage.server.start()
            self.screen.line("the server is back", "green")
            served = self.stage.server.total().bytes
            outcome = await watch.download(client, self.screen, 60)
            again = self.stage.server.total().bytes - served
            self.screen.line(f"resumed: {again:,} of {size:,} bytes were fetched", "green")
            assert again < 0.75 * size < total, "the download began again"
            outcome = await watch.upgrade(client, self.screen, 60)
        self.happened(
            "... and comes back", outcome, 1, "1.5.0", f"resumed: {again / size:.0%} was fetched, the rest was there"
        )

    async def power_cut(self) -> None:
        self.screen.title("1.6.0: the power fails during its trial")
        self.stage.release("1.6.0", 7, change={"extra.txt": "power"})
        async with self.client() as client:
            await watch.set_url(client, self.stage.url("1.6.0"))
            upgrade = asyncio.create_task(watch.update(client, self.screen, self.stage.url("1.6.0"), 60))
            await asyncio.to_thread(self.board.wait_log, "1.6.0 is on trial", 60)
            self.board.power_off()
            self.screen.line("the power is cut", "red")
            await asyncio.sleep(1)
            self.board.power_on()
            self.screen.line("the power is back", "green")
            outcome = await upgrade
        self.screen.line(outcome.text, "green" if outcome.ok else "red")
        self.happened("a power cut in the trial", outcome, 1, "1.6.0", "tried again, kept")

    async def run(self) -> None:
        """All of them."""
        screen = self.screen
        screen.title("A simulated ESP32, fresh from the factory")
        self.stage.flash_factory("1.0.0", 1)
        self.board.power_on()
        self.board.wait_log("serving", 30)
        screen.line(f"{self.stage.address} serves")
        acts: tuple[Callable[[], Any], ...] = (
            self.ownership, self.new_version, self.crashing, self.tampered, self.wrongly_signed, self.server_dies,
            self.power_cut,
        )  # fmt: skip
        for act in acts:
            await act()

    def table(self) -> Table:
        """What happened."""
        table = Table(title="What happened", title_justify="left", show_edge=False, pad_edge=False)
        for column in ("event", "result", "version", "in words"):
            table.add_column(column)
        for row in self.rows:
            table.add_row(*row)
        return table


async def connect_clear(address: str) -> str:
    """What the board answers to a GET of /oc/swu in the clear."""
    network = Network("127.0.0.1")
    try:
        reply = await exchange(network.client, port.address(address, COAP_PORT), 1, "/oc/swu", (), None, 5)
        return code_text(reply.code)
    finally:
        await network.close()


def main() -> int:
    """Run the demo; exit code 0 when everything went as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=bundle.ROOT / "build/demo", help="where it keeps its files")
    parser.add_argument("--svg", type=Path, help="also write the screen as a picture")
    parser.add_argument("--log", action="store_true", help="show the device's own log")
    parser.add_argument("--board-only", action="store_true", help="start the board and leave it running")
    options = parser.parse_args()
    console = Console(record=options.svg is not None, width=_SCREEN_WIDTH if options.svg else None)
    screen = Screen(console)
    stage = Stage(options.home, APP)
    with stage.server:
        demo = Demo(stage, screen)
        if options.log:
            demo.board.log = lambda text: screen.line(text.replace("[", "\\["), "dim")
        try:
            if options.board_only:
                return _board_only(demo)
            asyncio.run(demo.run())
        except (AssertionError, TimeoutError, Failure) as error:
            screen.line(str(error).replace("[", "\\[") or "it took too long", "bold red")
            return 1
        finally:
            demo.board.power_off()
    console.print()
    console.print(demo.table())
    console.print(f"\nEverything as promised, in {time.monotonic() - screen.began:.0f} s.", style="bold green")
    if options.svg:
        console.save_svg(str(options.svg), title="make demo")
    return 0


def _board_only(demo: Demo) -> int:
    """Leave the board and the server running until Ctrl-C."""
    demo.stage.flash_factory("1.0.0", 1)
    demo.stage.release("1.1.0", 2, firmware=True)
    demo.board.log = print
    demo.board.power_on()
    demo.board.wait_log("serving", 30)
    address = demo.stage.address
    print(
        f"The board is at {address}, and nobody owns it; a newer release at {demo.stage.url('1.1.0')}. Ctrl-C ends both."
    )
    print("Try, in another terminal:")
    print(f"  .venv/bin/fargo device own --device {address}")
    print(f"  .venv/bin/fargo device update --device {address} --url {demo.stage.url('1.1.0')}")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
