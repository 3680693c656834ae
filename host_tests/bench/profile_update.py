"""Where the instructions of one whole update go: `python host_tests/bench/profile_update.py [--scheme coaps] [--json]`.

An owned simulated board, its flash without a time of its own, obtains firmware and app, installs them, restarts and confirms
them, and MicroPython runs under valgrind's callgrind meanwhile. The device is run twice. Once as it is, but that what
is the simulated chip's own (Python here, hardware or C on a board) is told apart: the sums are of that run. And once with a
piece of machine code before each function of the device's (trampolines.py): the places are of that one. A place's
instructions are its own and those of the C functions that it calls, not of the Python functions that it calls. What the
way through the machine code costs is measured and taken off; what is left is good to a tenth, less so where arguments
have defaults. What the collector of memory, the import of modules, the compiler, Mbed TLS and LittleFS spend is not
their callers', and is counted by itself; the collector's share has the chip's garbage in it, too.

Counts are of one x86-64 machine code with words of 64 bits, and repeat within about 2 %: timers and the network have a
say. It takes about four minutes.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import collections
import json
import os
import shlex
import shutil
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "host_tests", ".")]

from fargo import bundle, watch  # noqa: E402
from fargo.client import DeviceClient, connect  # noqa: E402
from fargo.flash import LAYOUTS  # noqa: E402
from fargo.stage import Stage  # noqa: E402
from time_server import TimeServer  # noqa: E402

from board.sim.simboard import SimBoard  # noqa: E402

FIRMWARE = 100_000
SLOW = {"read_s": 300, "connect_s": 300, "lag_s": 600}  # settings for a device that is
# A "small" flash, with more room for the app.
LAYOUT = (
    LAYOUTS["small"].partition("app_0")[0]
    + """app_0,data,0x40,0x60000,0x50000
app_1,data,0x41,0xb0000,0x50000
data,data,0x42,0x100000,0x20000
"""
)
HEAP = {True: "64m", False: "448k"}  # the machine code takes much
IDLE = 3  # seconds, in which a device that is at rest has its share
PAUSE = 5  # seconds between two looks at the device
PATIENCE = 600  # seconds: valgrind is slow
MARK = "mp_os_unsetenv"  # a C function that nothing else calls: callgrind writes down before it what it has counted
# C functions that are places of their own, by how their names begin.
OWN = {
    "gc_collect": "collecting memory (C)",
    "mp_builtin___import__": "importing modules (C)",
    "mp_compile": "compiling boot.py and its like (C)",
    "mbedtls_": "Mbed TLS, SHA-256 and AES (C; hardware on a board)",
    "lfs2_": "LittleFS (C)",
    MARK: "",
}
OF_WHOLE = OWN["gc_collect"], OWN["mp_compile"]  # other than they are, among so much machine code
SIM = "sim:"
NOT_DEVICE = (SIM, "profile", "toll.")
CALLS = 1000  # by which trampolines.py finds what a way into a function costs
UPDATE = ("obtain", "install", "start and trial")


def instrumented(text: str, module: str) -> str:
    """The source `text` with a way of its own into each function."""
    lines = text.split("\n")
    places: list[tuple[int, int, str]] = []

    def look(node: ast.AST, outer: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{outer}.{child.name}"
                kind = "async" if isinstance(child, ast.AsyncFunctionDef) else "yield" if _yields(child) else "def"
                line = f'@_trampoline("{name}", "{kind}", "{_parameters(child.args)}")'
                places.append((child.lineno - 1, child.col_offset, line))
                look(child, name)
            else:
                look(child, f"{outer}.{child.name}" if isinstance(child, ast.ClassDef) else outer)

    tree = ast.parse(text)
    look(tree, module)
    for at, indent, line in sorted(places, reverse=True):
        lines.insert(at, " " * indent + line)
    if places:
        # Where `sys.path` is set first, that is to be done before.
        first = next((i + 1 for i, line in enumerate(lines) if line.startswith("sys.path.insert")), 0)
        first = first or next(n.lineno for n in tree.body if not isinstance(n, ast.Expr)) - 1
        lines.insert(first, "from trampolines import way as _trampoline")
    return "\n".join(lines)


def _yields(function: ast.FunctionDef) -> bool:
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return False


def _parameters(args: ast.arguments) -> str:
    if args.defaults or args.kwonlyargs or args.vararg or args.kwarg:
        return "*a, **k"
    return ", ".join(arg.arg for arg in args.posonlyargs + args.args)


def skipped() -> list[str]:
    """Options for callgrind: C functions whose costs are their callers'. CPython's, which hosts MicroPython, are not."""
    found = []

    def leave(begin: str) -> None:
        for c in string.ascii_lowercase + string.digits + "_.":
            if not any(own.startswith(begin + c) for own in OWN):
                found.append(f"--fn-skip={begin}{c}*")
            elif begin + c not in OWN:
                leave(begin + c)

    leave("")
    return [f for f in found if f[10] in string.ascii_lowercase] + ["--fn-skip=__*", "--fn-skip=_int*"]


class Counts:
    """What callgrind counted, by place: instructions of its `own`, and `calls` from elsewhere."""

    def __init__(self) -> None:
        self.own: collections.Counter[str] = collections.Counter()
        self.calls: collections.Counter[str] = collections.Counter()

    def read(self, path: Path, ways: dict[str, str]) -> None:
        """Add what is in a file of callgrind's."""
        names: dict[str, str] = {}
        here = callee = ""
        of_call = False
        for line in path.open(errors="replace"):
            if line[:3] == "fn=" or line[:4] == "cfn=":
                number, _, name = line.rstrip("\n").partition("=")[2].partition(" ")
                if name:
                    names[number] = place(name, ways)
                if line[0] == "f":
                    here = names[number]
                else:
                    callee = names[number]
            elif line[:6] == "calls=":
                self.calls[callee] += (callee != here) * int(line[6:].split()[0])
                of_call = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                if not of_call:
                    self.own[here] += int(line.split()[1])
                of_call = False


def place(function: str, ways: dict[str, str]) -> str:
    """Whose place a function of callgrind's is; "" when it is CPython's or the loader's."""
    function = function.partition("'")[0]
    for begin, text in OWN.items():
        if function.startswith(begin):
            return text
    return ways.get(function[2:-3].lstrip("0"), "") if function.startswith("0x") else ""


class Rig:
    """A stage, and in front of MicroPython valgrind with another simulated chip. `places`: of the device's, too."""

    def __init__(self, home: Path, places: bool) -> None:
        self.home, self.places = home, places
        lamp = ROOT / "examples/lamp"
        self.stage = Stage(
            home / "stage", lamp, address="127.9.3.2", layout=LAYOUT, firmware_size=FIRMWARE, settings=SLOW
        )
        self.chip = home / "chip"
        shutil.copytree(ROOT / "board/sim", self.chip)
        for path in self.chip.glob("*.py"):
            text = instrumented(path.read_text(), SIM + path.stem)
            if path.stem == "rom":
                text = text.replace("import gc\n", "import gc\nimport os\n", 1)
                end = '        self.tell("operations'
                if places:
                    before, after = (
                        '    sys.modules["machine"] =',
                        # Nothing of a heap that is so much larger: neither is the device's.
                        "peripherals.Overlay(gc, collect=lambda: None, threshold=lambda n: None, mem_free=lambda: 200000)",
                    )
                    text = text.replace(before, f'    sys.modules["gc"] = {after}\n{before}', 1)
                text = text.replace(end, f'        os.unsetenv("x")\n{end}', 1)
            path.write_text(text)
        shutil.copy(Path(__file__).with_name("trampolines.py"), self.chip)
        self.vfs: dict[str, bytes] = {}
        if places:
            sources = {"boot.py": ROOT / "boot.py"} | {p.name: p for p in (ROOT / "board/vfs").glob("*.py")}
            for name, path in sources.items():
                self.vfs[name] = instrumented(path.read_text(), name[:-3]).encode()
            self.stage.app_image = self._app_image  # type: ignore[method-assign]
        self.counts: dict[str, Counts] = {}
        self.seen: list[Path] = []

    def _app_image(self, change: dict[str, str] | None = None) -> bytes:
        files = bundle.device_files(self.stage.app)
        folder = self.home / "instrumented"
        for name, path in files.items():
            if name.endswith(".py"):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(
                    instrumented(path.read_text(), name[:-3].replace("/", ".").removesuffix(".__init__"))
                )
                files[name] = target
        return bundle.app_image(files, keep_names=True)

    def _stand_in(self) -> None:
        """A command `micropython` with that chip, under valgrind when $FARGO_PROFILE says so."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        real = shutil.which("micropython")
        if not real or not shutil.which("valgrind"):
            raise SystemExit("the commands micropython and valgrind are needed (apt-get install valgrind)")
        command = folder / "micropython"
        options = [
            "-q",
            "--tool=callgrind",
            f"--callgrind-out-file={self.home}/out.%p",
            f"--dump-before={MARK}",
            *skipped(),
        ]
        words = " ".join(map(shlex.quote, options))
        command.write_text(
            f'#!/bin/sh\nexport LD_BIND_NOW=1\nset -- {real} "$1" "$2" {self.chip}/rom.py "$4" "$5" "$6"\n'
            f'[ "$FARGO_PROFILE" = 1 ] || exec "$@"\nexec valgrind {words} "$@"\n'
        )
        command.chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def update(self, scheme: str) -> dict[str, Counts]:
        """Let the device update itself: what each step cost."""
        self.stage.flash_factory(vfs_files=self.vfs)
        self.stage.release("1.1.0", 2, firmware=True)
        self._stand_in()
        with self.stage.server, TimeServer() as times:
            options: dict[str, Any] = {"heap": HEAP[self.places], "flash_ms": (0, 0), "ntp_port": times.port}
            os.environ["FARGO_PROFILE"] = "0"
            with self.stage.board(**options) as board:
                board.wait_log("info: serving", PATIENCE)
                asyncio.run(self.stage.own())
            os.environ["FARGO_PROFILE"] = "1"
            with self.stage.board(**options) as board:
                board.wait_log("info: serving", PATIENCE)
                time.sleep(IDLE)
                self._count(board, "start")
                asyncio.run(self._obtain(self.stage.url("1.1.0", scheme)))
                self._count(board, "obtain")
                asyncio.run(self._install(board))
                self._count(board, "install", "start and trial")
        return self.counts

    async def _client(self) -> DeviceClient:
        client = await connect(self.stage.address, self.stage.identity, "127.0.0.1")
        client.timeout, client.repeats = PATIENCE, False
        return client

    async def _obtain(self, url: str) -> None:
        async with await self._client() as client:
            await watch.set_url(client, url)
            await client.act(watch.TM["download"], watch.ACTIONS["download"])
            while True:
                await asyncio.sleep(PAUSE)
                shown = await client.read_swu()
                await client.read_pstat()
                await client.read_status()
                if shown["swupdateaction"] == "idle":
                    break
        if shown["swupdatestate"] != "sva":
            raise SystemExit(f"nothing was obtained: {shown}")

    async def _install(self, board: SimBoard) -> None:
        async with await self._client() as client:
            await client.act(watch.TM["upgrade"], watch.ACTIONS["upgrade"])
        await asyncio.to_thread(board.wait_log, "update: idle, result 1", PATIENCE)
        async with await self._client() as client:
            await client.read_swu()

    def _count(self, board: SimBoard, *steps: str) -> None:
        """What callgrind wrote since the last time, is of `steps`: of one start each, the last of the present one."""
        process = board._process
        assert process
        subprocess.run(["vgdb", f"--pid={process.pid}", "dump"], check=True, capture_output=True)
        written = [path for path in self.home.glob("out.*") if path.stat().st_size and path not in self.seen]
        self.seen += written
        now = f".{process.pid}"
        for i, step in enumerate(steps):
            counts = self.counts.setdefault(step, Counts())
            for path in written:
                if (now in path.name) == (i == len(steps) - 1):
                    counts.read(path, ways(board.lines, len(board.resets) - len(steps) + i))


def ways(lines: list[str], start: int) -> dict[str, str]:
    """Names by address of their machine code, of the start of this number: each begins with the way into `way`."""
    found: list[dict[str, str]] = []
    for line in lines:
        if line.startswith("way "):
            _, name, address = line.split()
            if name == "profile":
                found.append({})
            found[-1][address[2:-3]] = name
    return found[start]


def run(places: bool, scheme: str) -> dict[str, Counts]:
    """The counts of each step."""
    with tempfile.TemporaryDirectory() as folder:
        return Rig(Path(folder), places).update(scheme)


def of_device(counts: Counts) -> int:
    """Instructions of the device's: not of the chip, the profile, or CPython, which hosts MicroPython."""
    return sum(n for name, n in counts.own.items() if name and not name.startswith(NOT_DEVICE))


def net(steps: dict[str, Counts], names: Iterable[str]) -> collections.Counter[str]:
    """Instructions by place of the steps `names` together, without what the way into each function cost."""
    first = steps["start"].own
    toll = (first["toll.with"] + first["toll.call"] - first["toll.without"]) / CALLS
    found: collections.Counter[str] = collections.Counter()
    for step in names:
        for name, own in steps[step].own.items():
            if name and not name.startswith(NOT_DEVICE):
                found[name] += max(0, round(own - (name not in OWN.values()) * toll * steps[step].calls[name]))
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=("https", "coaps"), default="https")
    parser.add_argument("--places", type=int, default=10, help="how many are shown")
    parser.add_argument("--json", action="store_true", help="everything, as one object")
    options = parser.parse_args()
    whole = run(False, options.scheme)
    parts = run(True, options.scheme)
    sums = {step: of_device(counts) for step, counts in whole.items()}
    calls: collections.Counter[str] = collections.Counter()
    for step in UPDATE:
        calls.update(parts[step].calls)
    places = net(parts, UPDATE)
    for name in OF_WHOLE:
        places[name] = sum(whole[step].own[name] for step in UPDATE)
        calls[name] = sum(whole[step].calls[name] for step in UPDATE)
    found = [(name, n, calls[name]) for name, n in places.most_common() if n]
    if options.json:
        print(json.dumps({"scheme": options.scheme, "instructions": sums, "places": found}))
        return
    for step, n in [*sums.items(), ("the update: all but the first start", sum(sums[step] for step in UPDATE))]:
        print(f"{n / 1e6:10,.1f} M  {step}")
    print("\nThe most expensive places of the update: instructions, calls")
    for name, n, count in found[: options.places]:
        print(f"{n / 1e6:10,.1f} M {count:9,}  {name}")


if __name__ == "__main__":
    main()
