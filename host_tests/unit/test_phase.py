"""`port.phase` on the desktop, where other threads import too."""

import asyncio
import os
import socket
import subprocess
import sys
import threading

import port.sockets
import pytest
from modules import ROOT
from port import phase, reserve, spent

from firmware import ntp
from firmware.resolver import Resolver


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


HELD = """
import held_log
def go():
    held_log.begun.set()
    held_log.go.wait(10)
    return after()
def after():
    return 7
"""


def test_what_another_thread_is_in_stays_as_it_is(tmp_path, monkeypatch):
    """A release server serves by CoAPs in a thread of its own, with the very code of the Client beside it."""
    (tmp_path / "held_log.py").write_text("import threading\nbegun, go = threading.Event(), threading.Event()\n")
    (tmp_path / "held.py").write_text(HELD)
    monkeypatch.syspath_prepend(str(tmp_path))
    import held_log

    found = []

    def work():
        with phase("held") as held:
            found.append(held.go())

    with phase("held") as held:
        spent(held)
        thread = threading.Thread(target=work)
        thread.start()
        assert held_log.begun.wait(10)
    held_log.go.set()
    thread.join(10)
    assert found == [7]
    del sys.modules["held"], sys.modules["held_log"]


def test_a_phase_that_another_thread_is_loading_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "slow_gate.py").write_text("import threading\nbegun, go = threading.Event(), threading.Event()\n")
    (tmp_path / "slow.py").write_text("import slow_gate\nslow_gate.begun.set()\nslow_gate.go.wait(10)\nANSWER = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import slow_gate

    found = []

    def work():
        with phase("slow") as slow:
            found.append(slow.ANSWER)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads[0].start()
    assert slow_gate.begun.wait(10)
    threads[1].start()
    threads[1].join(0.2)  # it has nothing to do but to wait, or to take what is there
    slow_gate.go.set()
    for thread in threads:
        thread.join(10)
    assert found == [42, 42]
    del sys.modules["slow_gate"]


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
    monkeypatch.setattr(reserve, "lent", 0)
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


def test_a_phase_gets_the_reserve_before_it_takes_what_the_radio_needs(tmp_path, monkeypatch):
    """On a chip the heap grows into that, and only then there is MemoryError."""
    (tmp_path / "wide_root.py").write_text("import wide_log\nwide_log.loads.append(wide_log.taken())\n")
    (tmp_path / "wide_log.py").write_text("loads = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "lent", 0)
    import wide_log

    wide_log.taken = lambda: len(reserve._held)
    reserve.take()
    monkeypatch.setattr(reserve, "deaf", lambda: "wide_root" in sys.modules, raising=False)
    with phase("wide_root"):  # loaded where the radio's memory is, and again where the reserve was
        assert wide_log.loads == [4096, 0] and not reserve.good()
    assert "wide_root" not in sys.modules
    wide_log.loads.clear()
    with phase("wide_root"):  # without a reserve there is no better place
        assert wide_log.loads == [0]
    del sys.modules["wide_log"]


LENT = """
from port import Reserve
def lends(reserve, how):
    try:
        if how == 0:
            reserve.lend()
        elif how == 1:
            reserve.offer(1 << 29)
        else:
            reserve.__enter__()
        return 1
    except MemoryError:
        return 0
for how in range(3):
    done = set()
    for left in range(0, 640, 16):
        reserve = Reserve()
        reserve.size, reserve.spare = 64, 32
        hole = bytearray(left or 1)
        kept = fill()
        hole = None
        gc.collect()
        counts[0] = lends(reserve, how)
        kept = None
        done.add(counts[0])
        if reserve.lent != counts[0]:
            print("lent for ever", how, left)
    print(how, sorted(done))
"""


def test_what_could_not_be_lent_is_not():
    """Else what waits until the reserve is back, a key made ahead for one, would wait for ever."""
    script = SCARCE.partition("def attempt")[0] + LENT
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'lib'}:.frozen"}
    said = set()
    for heap in range(100_000, 102_048, 512):
        command = ["micropython", "-X", f"heapsize={heap}", "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        assert len(lines) == 3 and "lent for ever" not in done.stdout, done.stdout + done.stderr
        said.update(lines)
    assert "0 [0, 1]" in said  # memory ended before some were lent, and not before others


def test_the_reserve_does_not_take_what_the_radio_needs(monkeypatch):
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "lent", 0)
    monkeypatch.setattr(reserve, "_held", b"")
    monkeypatch.setattr(reserve, "deaf", lambda: len(reserve._held) > 2500, raising=False)
    reserve.take()
    assert len(reserve._held) == 2304 and reserve.good()  # what is left beside it, in steps of a quarter


def test_what_is_for_a_moment_gets_the_second_piece_first(monkeypatch):
    """A datagram for one: what lives on would come to lie in the first, which an update needs whole."""
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "spare", 1792)
    monkeypatch.setattr(reserve, "lent", 0)
    reserve.take()
    first = reserve._held
    assert reserve.let_go(True) and reserve._held is first and not reserve._second
    reserve.take(True)
    assert reserve._held is first and len(reserve._second) == 1792
    assert reserve.let_go(True) and reserve.let_go(True) and not reserve.good()
    reserve.take(True)
    assert reserve.good() and len(reserve._second) == 1792
    assert reserve.let_go() and not reserve._held and not reserve._second


def test_where_there_is_enough_beside_it_the_reserve_is_offered_only(monkeypatch):
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "lent", 0)
    reserve.take()
    reserve.offer(16384)
    assert len(reserve._held) == 4096 and reserve.lent == 1
    reserve.let_go()
    reserve.take()
    assert not reserve._held  # whoever it is offered to may be about to use what it gave
    reserve.__exit__()
    assert len(reserve._held) == 4096
    monkeypatch.setattr(reserve, "left", lambda: 16383, raising=False)  # the board's: it knows what is the radio's
    reserve.offer(16384)
    assert not reserve._held and reserve.lent == 1
    reserve.__exit__()
    reserve.let_go()


ENDED = """
import asyncio, gc
from port import create_task, wait_for

SIZE = 50_000

async def whole():
    held = bytearray(SIZE)
    await asyncio.sleep_ms(1)
    return len(held)

async def fails():
    held = bytearray(SIZE)
    await asyncio.sleep_ms(1)
    raise ValueError(len(held))

async def lasts():
    held = bytearray(SIZE)
    await asyncio.sleep_ms(100_000)
    return len(held)

async def sleeps(ms):
    await asyncio.sleep_ms(ms)

def kept():
    bytearray(2 * SIZE)  # where something stale may lie
    gc.collect()
    return gc.mem_alloc() > before + SIZE

async def main():
    global before
    gc.collect()
    before = gc.mem_alloc()
    ended = [create_task(whole()), create_task(fails()), create_task(lasts())]
    await asyncio.sleep_ms(20)
    print(kept())
    ended[2].cancel()
    for task in ended:
        try:
            print(await task)
        except (ValueError, asyncio.CancelledError) as error:
            print(type(error).__name__)
    print(kept())
    others = [asyncio.create_task(sleeps(1000 + n)) for n in range(5)]  # whose links may be stale
    print(await wait_for(whole(), 5), kept())
    try:
        await wait_for(fails(), 5)
    except ValueError:
        print(kept())
    try:
        await wait_for(lasts(), 0.01)
    except asyncio.TimeoutError:
        print(kept(), len(others))

asyncio.run(main())
"""


def test_a_task_that_has_ended_keeps_nothing_of_its_coroutine(tmp_path):
    """On MicroPython: others find it for a while yet, and with it the code of a phase."""
    (tmp_path / "ended.py").write_text(ENDED)
    run = subprocess.run(
        ["micropython", "-X", "heapsize=1m", "ended.py"],
        cwd=tmp_path,
        env={**os.environ, "MICROPYPATH": str(ROOT / "lib") + ":.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = ["True", "50000", "ValueError", "CancelledError", "False", "50000 False", "False", "False 5"]
    assert run.stdout.splitlines() == said, run.stdout + run.stderr


async def test_who_is_done_with_a_phase_leaves_it_to_whoever_has_it_too(monkeypatch):
    """The clock asks for its server's name while an update asks for its own, which is answered first."""
    module = sys.modules.pop("swupdate.install.dns", None)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.setblocking(False)
            address = port.sockets.address
            monkeypatch.setattr(port.sockets, "address", lambda host, _port: address(host, server.getsockname()[1]))
            loop = asyncio.get_running_loop()
            tasks, asked = [], []
            for task in (Resolver("127.0.0.1").resolve("release.example"), ntp._find("ntp.example", "127.0.0.1")):
                tasks.append(asyncio.create_task(task))
                asked.append(await asyncio.wait_for(loop.sock_recvfrom(server, 512), 30))
            for number, (query, peer) in enumerate(asked):
                answer = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:]
                answer += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x0a\0\0" + bytes((number,))
                await loop.sock_sendto(server, answer, peer)
                assert await tasks[number] == f"10.0.0.{number}"
        assert "swupdate.install.dns" not in sys.modules
    finally:
        if module:
            sys.modules["swupdate.install.dns"] = module
