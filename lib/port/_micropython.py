"""MicroPython's side of `port`: the unix port and the ESP32."""

import asyncio
import gc
import io
import os
import sys
from asyncio import core
from time import ticks_add, ticks_diff, ticks_ms  # noqa: F401

from cryptolib import aes  # noqa: F401
from micropython import const  # noqa: F401

urandom = os.urandom
sleep_ms = asyncio.sleep_ms
collect = gc.collect
collect_after = gc.threshold  # so many bytes were allocated
memory_free = gc.mem_free
loaded = sys.modules.keys  # the names of all modules
sync = getattr(os, "sync", int)  # makes what was written to files durable; nothing, where closing a file does it


def print_exception(error):
    """One line of the log: what was raised, and where. Several when there is no memory for one."""
    try:
        text = io.StringIO()
        sys.print_exception(error, text)
        text = " ".join(text.getvalue().split())
    except MemoryError:
        sys.print_exception(error)
    else:
        print("error:", text)


async def _last(box):
    """Await what is in the list `box`, and keep nothing of it.

    A task that has ended is found by others for a while yet, for nobody clears their stale links in its queue; and with a
    task all that its coroutine has, the code of a phase for one. What is returned or raised takes that one's place.
    """
    return await box.pop()


def create_task(coroutine):
    """`asyncio.create_task` for the coroutine of a phase."""
    return asyncio.create_task(_last([coroutine]))


async def wait_for(awaitable, seconds):
    """`asyncio.wait_for` for the same; nor should what it returns be an object of a phase."""
    return await asyncio.wait_for(_last([awaitable]), seconds)


def heap_used():
    """Live bytes on the Python heap."""
    gc.collect()
    return gc.mem_alloc()


def bytecode_version():
    """The `.mpy` version that this interpreter loads."""
    return sys.implementation._mpy & 0xFF


async def readable(sock):
    """Wait until `sock` has something to read. Raises MemoryError."""
    try:
        core._io_queue.queue_read(sock)
    except MemoryError:  # noted, but not polled: the next to wait would be told that there is no such socket
        core._io_queue.remove(core.cur_task)
        raise
    yield


class Event:
    """`asyncio.Event`, without the module that MicroPython has it in."""

    def __init__(self):
        self._set = False
        self._waiting = core.TaskQueue()

    def set(self):
        """Let all go on who wait."""
        self._set = True
        while self._waiting.peek():
            core._task_queue.push(self._waiting.pop())

    def clear(self):
        """Have them wait from now on."""
        self._set = False

    async def wait(self):
        """Wait, if it is not set."""
        if not self._set:
            self._waiting.push(core.cur_task)
            core.cur_task.data = self._waiting  # where a cancellation finds it
            yield
