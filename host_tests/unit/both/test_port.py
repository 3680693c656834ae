"""`port`: the phase loader, ticks and sockets, on both interpreters."""

import asyncio
import sys

from check import raises
from port import collect, const, memory_free, phase, readable, reserve, spent, ticks_add, ticks_diff, urandom, wait_for
from port.peer import host_port
from port.sockets import address, udp_socket


def test_const_is_the_value():
    assert const(7) == 7


def test_ticks_wrap():
    assert ticks_diff(ticks_add(5, -10), 5) == -10
    assert ticks_diff(ticks_add(0, -1), 0) == -1


def test_phase_loads_and_forgets():
    assert "phased.inner" not in sys.modules
    with phase("phased.inner") as inner:
        assert inner.ANSWER == 42
        assert "phased.inner" in sys.modules and "phased" in sys.modules
    assert "phased.inner" not in sys.modules and "phased" not in sys.modules


def test_phase_keeps_what_was_there():
    import phased

    with phase("phased.inner"):
        assert hasattr(phased, "inner")
    assert "phased" in sys.modules and not hasattr(phased, "inner")
    del sys.modules["phased"]


def test_phases_of_two_tasks_may_overlap():
    first, second = phase("phased"), phase("phased.inner")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert "phased.inner" in sys.modules
    second.__exit__(None, None, None)
    assert "phased.inner" not in sys.modules


def test_what_is_spent_is_emptied_when_its_phase_is_left():
    with phase("phased.inner") as inner:
        spent(inner)
        assert inner.__dict__["__name__"] == "phased.inner"  # not before
    assert not inner.__dict__
    with phase("phased.inner") as again:
        assert again is not inner and again.__dict__
    assert again.__dict__, "what may outlive its phase is left alone"


def test_what_another_phase_holds_is_not_emptied():
    outer = phase("phased.inner")
    held = outer.__enter__()
    with phase("phased.inner") as inner:
        spent(inner)
    assert held.__dict__
    outer.__exit__()
    assert not held.__dict__


async def test_datagram_goes_round():
    here = udp_socket("127.0.0.1", 0)
    port = 20000 + int.from_bytes(urandom(2), "big") // 6  # others test here at the same time
    there = udp_socket("127.0.0.1", port)
    here.sendto(b"hello", address("127.0.0.1", port))
    await readable(there)
    data, peer = there.recvfrom(64)
    assert data == b"hello" and host_port(peer)[0] == "127.0.0.1"
    here.close()
    there.close()


async def test_a_socket_that_there_was_no_memory_to_wait_for_can_be_waited_for_later():
    if sys.implementation.name != "micropython":
        return
    here = udp_socket("127.0.0.1", 0)

    class Poller:
        def register(self, *what):
            queue.poller = real
            raise MemoryError

        def unregister(self, sock):
            real.unregister(sock)

    queue = asyncio.core._io_queue
    real, queue.poller = queue.poller, Poller()
    with raises(MemoryError):
        try:
            await readable(here)
        finally:
            queue.poller = real
    with raises(asyncio.TimeoutError):
        await wait_for(readable(here), 0.02)
    here.close()


async def test_waiting_ends_by_result_or_by_time():
    async def result():
        return 42

    assert await wait_for(result(), 5) == 42
    with raises(asyncio.TimeoutError):
        await wait_for(asyncio.Event().wait(), 0.01)


async def test_who_is_cancelled_while_waiting_ends():
    """Also when what it waits for comes at that very moment: else a handshake outlives the patience of who began it."""
    for turns in range(3):
        event = asyncio.Event()

        async def waits(event=event):
            await wait_for(event.wait(), 5)
            return "went on"

        task = asyncio.create_task(waits())
        await asyncio.sleep(0.01)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        with raises(asyncio.CancelledError):
            await task


def test_a_reserve_that_is_let_go_is_free_at_once():
    """Not only when MicroPython's stack has forgotten it: what needs it does not try twice.

    Tried thrice: once in a while a number that happens to lie on the stack keeps a piece, whatever the code does.
    """

    def freed(second):
        collect()
        before = memory_free()
        assert reserve.let_go(second)
        return memory_free() - before if before < sys.maxsize else 4096 + 2048  # CPython has no heap to tell of

    reserve.size, reserve.spare = 4096, 2048
    found = []
    try:
        for _ in range(3):
            reserve.take()
            both = freed(second=False)
            reserve.take()
            found.append((both, freed(second=True), freed(second=True)))
        assert any(both >= 6144 and spare >= 2048 and rest >= 4096 for both, spare, rest in found), found
    finally:
        reserve.size = reserve.spare = 0
        reserve.let_go()


def test_a_reserve_lies_behind_what_comes_later():
    """Else that soon lies where the reserve was let go."""
    try:
        from uctypes import addressof
    except ImportError:  # CPython puts things anywhere

        def addressof(thing):
            return thing is reserve._held

    collect()
    reserve.size = 4096
    try:
        for _ in range(2):
            reserve.take()
            later = bytearray(4096)
            assert len(reserve._held) == 4096 and addressof(reserve._held) > addressof(later)
            later = None
            assert reserve.let_go()
    finally:
        reserve.size = 0
        reserve.let_go()


def test_a_reserve_is_taken_where_there_is_memory_for_nothing_else():
    """Whoever takes it does so where MemoryError was met, and has no answer to another one."""
    if sys.implementation.name != "micropython":
        return
    reserve.size = 4096
    good = []
    for more in range(32, 320, 32):  # bytes, for what a call takes
        reserve.take()
        room = bytearray(more)
        last = None  # of a chain of as many objects as there is memory for
        for size in (4000, 400, 40, 0, 0):
            try:
                while True:
                    last = [bytearray(size) if size else None, last]
            except MemoryError:
                pass
        try:
            room = None
            reserve._held = b""
            reserve.take()
            good.append(len(reserve._held))
        finally:
            while last:
                last[1], last = None, last[1]
    reserve.size = 0
    reserve.let_go()
    assert 4096 in good and room is None, good
