"""`port.phase` on the desktop, where other threads import too."""

import os
import subprocess
import sys
import threading

import pytest
from modules import ROOT
from port import phase, reserve


def test_what_another_thread_imports_meanwhile_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text("import slow_gate\nslow_gate.begun.set()\nslow_gate.go.wait(10)\n")
    (tmp_path / "slow_gate.py").write_text("import threading\nbegun, go = threading.Event(), threading.Event()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import slow_gate

    (tmp_path / "phased_root.py").write_text("import slow_gate\nslow_gate.load()\n")
    errors = []

    def load():
        try:
            import slow_module  # noqa: F401
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=load)

    def begin():  # called while the phase imports
        thread.start()
        assert slow_gate.begun.wait(10)

    slow_gate.load = begin
    with phase("phased_root"):
        pass
    assert "phased_root" not in sys.modules
    slow_gate.go.set()
    thread.join(10)
    assert not errors and "slow_module" in sys.modules
    del sys.modules["slow_module"], sys.modules["slow_gate"]


def test_a_module_that_cannot_be_had_is_a_want_of_memory(tmp_path, monkeypatch):
    """As MicroPython sees it: its file system says that there is no such file when it has no memory to look."""
    (tmp_path / "lacking_root.py").write_text("import sys\nimport no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MemoryError, match="no_such_module"), phase("lacking_root"):
        pass
    assert "lacking_root" not in sys.modules


def test_what_could_not_be_loaded_gets_the_reserve(tmp_path, monkeypatch):
    """Code that answers is what it is held back for; without it there is MemoryError, and nothing is left behind."""
    (tmp_path / "scarce.py").write_text(
        "from port import reserve\nif reserve._held or not reserve.size: raise MemoryError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "_lent", 0)
    reserve.take()
    with phase("scarce") as scarce:
        assert scarce.reserve is reserve and not reserve.good()
        reserve.take()
        assert reserve.good() and len(reserve._held) == 4096
    assert "scarce" not in sys.modules
    reserve.let_go()
    reserve.size = 0
    with pytest.raises(MemoryError), phase("scarce"):
        pass
    assert "scarce" not in sys.modules


FULL = """
from port import reserve
reserve.size = 8192
reserve.take()
good = gave = kept = None
size = 16384
while size:
    try:
        while True:
            kept = [kept, bytearray(size)] if size > 16 else [kept]
    except MemoryError:
        size >>= 1
try:
    good = reserve.good()
    gave = reserve.let_go()
except MemoryError:
    pass
kept = None
print(good, gave)
"""


def test_the_reserve_is_looked_at_and_given_up_when_the_heap_is_full():
    """An app may have all other memory: that is what it is for, and an error there would end the device."""
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'lib'}:.frozen"}
    command = ["micropython", "-X", "heapsize=100k", "-c", FULL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True\n", done.stderr + done.stdout


SCARCE = """
import gc, sys
from port import phase
left = hole = size = kept = found = None
counts = [0, 0]
def fill():
    kept = None
    size = 8192
    while size:
        try:
            while True:
                kept = [kept, bytearray(size)] if size > 16 else [kept]
        except MemoryError:
            size >>= 1
    return kept
def attempt():
    try:
        with phase("phased"):
            counts[0] += 1
    except MemoryError:
        counts[1] += 1
attempt()
for left in range(0, 2400, 16):
    gc.collect()
    hole = [bytearray(left & 1023 or 1)] + [bytearray(1024) for _ in range(left >> 10)]
    kept = fill()
    hole = None
    attempt()
    kept = None
    found = [name for name in sys.modules if name.startswith("phased")]
    if found:
        print(left, found)
        for name in found:
            sys.modules.pop(name, None)
attempt()
print(counts)
"""


def test_no_part_of_a_phase_stays_whenever_memory_ends(tmp_path):
    """What had been loaded in part would be taken for the whole, until the next restart. Few places of its end do that."""
    names = [f"phased_{number}" for number in range(5)]
    (tmp_path / "phased.py").write_text(f"import {', '.join(names)}\ndef go():\n    return 1\n")
    for name in names:
        (tmp_path / f"{name}.py").write_text("def x():\n    return 1\n")
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'lib'}:{tmp_path}:.frozen"}
    for heap in range(100_000, 104_000, 512):
        command = ["micropython", "-X", f"heapsize={heap}", "-c", SCARCE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.stdout == "[2, 150]\n", done.stderr + done.stdout
