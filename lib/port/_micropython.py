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
wait_for = asyncio.wait_for
collect = gc.collect
collect_after = gc.threshold  # so many bytes were allocated
memory_free = gc.mem_free
loaded = sys.modules.keys  # the names of all modules


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


def heap_used():
    """Live bytes on the Python heap."""
    gc.collect()
    return gc.mem_alloc()


def sync():
    """Make what was written to files durable (a no-op where closing a file does it)."""
    if hasattr(os, "sync"):
        os.sync()


def bytecode_version():
    """The `.mpy` version that this interpreter loads."""
    return sys.implementation._mpy & 0xFF


async def readable(sock):
    """Wait until `sock` has something to read."""
    yield core._io_queue.queue_read(sock)
