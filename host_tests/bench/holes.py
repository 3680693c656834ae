"""Where the heap has its holes: a device with 32-bit words, watched whenever a phase is entered or left.

`python host_tests/bench/holes.py ACTION [KB [ADDRESS [APP]]]`: "start", "ownership" or an action of bench_memory.py, with a
heap of KB (1024) and an app as there ("lamp"). A line an event: bytes alive, free, of the largest free piece, and how
many pieces there are; the simulated chip's own Python and what watches (about 2 KB) are in it. Then the moments with most
alive.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import bench_memory  # noqa: E402
import live  # noqa: E402
import micropython32  # noqa: E402

_BLOCK = 16
_MOST = 8  # moments shown again at the end
_MAP = r"moment: |end of map|mem: |stack: |GC|\s*No. of|\s*[0-9a-f]+: |\s*\(\d+ lines"
_WATCH = """
def _watch():
    import main as port
    def tell(what, names):
        gc.collect()
        print("moment:", what, *names)
        micropython.mem_info(1)
        print("end of map")
    make, enter, leave = port.phase.__init__, port.phase.__enter__, port.phase.__exit__
    go = port.Reserve.let_go
    def made(self, *names):
        self.told = names
        make(self, *names)
    def entered(self):
        count = len(sys.modules)
        found = enter(self)
        if len(sys.modules) > count:
            tell("in", self.told)
        return found
    def left(self, *why):
        count = len(sys.modules)
        done = leave(self, *why)
        if len(sys.modules) < count:
            tell("after", self.told)
        return done
    def let_go(self, second=False):
        tell("let go of the second piece" if second else "let go", ())
        return go(self, second)
    port.phase.__init__, port.phase.__enter__, port.phase.__exit__ = made, entered, left
    port.Reserve.let_go = let_go
    tell("boot", ())
"""


class Moment(NamedTuple):
    """What `what` found: bytes alive and free, of the largest free piece, and the number of pieces."""

    what: str
    alive: int
    free: int
    largest: int
    holes: int


def boot() -> bytes:
    """`boot.py` that watches from when what stays is there."""
    text = (live.ROOT / "boot.py").read_text()
    text = text.replace("micropython.opt_level(3)", _WATCH + "micropython.opt_level(3)", 1)
    text = text.replace("        main.run()\n", "        _watch()\n        main.run()\n")
    assert text.count("_watch()") == 2, "boot.py has changed"
    return text.encode()


def moments(lines: list[str]) -> Iterator[Moment]:
    """What the maps of the heap among `lines` say."""
    what, blocks = "", ""
    for line in lines:
        if line.startswith("moment: "):
            what, blocks = line[8:], ""
        elif line.startswith("end of map"):
            free = [len(piece) * _BLOCK for piece in re.findall(r"\.+", blocks)]
            total = len(blocks) * _BLOCK
            yield Moment(what, total - sum(free), sum(free), max(free, default=0), len(free))
        elif found := re.fullmatch(r"[0-9a-f]+: (.{1,64})", line.strip()):
            blocks += found.group(1)
        elif found := re.fullmatch(r"\((\d+) lines all free\)", line.strip()):
            blocks += "." * 64 * int(found.group(1))


def show(found: list[Moment]) -> None:
    """One line each."""
    for at in found:
        print(f"{at.alive:9,} {at.free:9,} {at.largest:9,} {at.holes:5}  {at.what}")


def main() -> None:
    """The command."""
    name, kilobytes = sys.argv[1], int((sys.argv[2:] or ["1024"])[0])
    address = (sys.argv[3:] or ["127.9.4.2"])[0]
    app, href = bench_memory.apps((sys.argv[4:] or [bench_memory.LAMP])[0])
    if not micropython32.use():
        sys.exit(f"This takes {micropython32.HOW}.")
    with tempfile.TemporaryDirectory() as folder:
        rig = live.Rig(Path(folder) / "stage", app, address, boot())
        rig.stage.release("1.1.0", 2, firmware=True)
        trials = bench_memory.Trials(rig, href)
        with rig.stage.server:
            trials.actions["start"] = trials.actions["at rest"]
            passed, names = trials.passes(name, kilobytes)
        time.sleep(0.2)
        rig.close()
    lines = rig.board.lines
    found = list(moments(lines))
    print("    alive      free   largest holes")
    show(found)
    print(f"most alive ({rig.not_the_device(names):,} are the chip's):")
    show(sorted(found, key=lambda at: -at.alive)[:_MOST])
    print("passed" if passed else "failed")
    print(*[line for line in lines if not re.match(_MAP, line)], sep="\n")


if __name__ == "__main__":
    main()
