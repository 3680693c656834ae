"""The product's entry: `boot.py` imports this module from the running slot and calls `run()`."""

import asyncio

from port import phase, print_exception

from board import Board
from firmware.node import Node
from firmware.paths import loader

files = None  # the RomFS that this module came from, as `launch.py` says


def run():
    """Build the device and serve until the power goes."""
    if hasattr(files, "choose"):
        phase.load = loader(files)
    # Of a task that nobody waits for, an app's for one: a line of the log, as of all others.
    asyncio.get_event_loop().set_exception_handler(lambda _loop, context: print_exception(context["exception"]))
    asyncio.run(Node(Board()).run())
