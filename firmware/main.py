"""The product's entry: `boot.py` imports this module from the running slot and calls `run()`."""

import asyncio

from port import print_exception

from board import Board
from firmware.node import Node


def run():
    """Build the device and serve until the power goes."""
    # Of a task that nobody waits for, an app's for one: a line of the log, as of all others.
    asyncio.get_event_loop().set_exception_handler(lambda _loop, context: print_exception(context["exception"]))
    asyncio.run(Node(Board()).run())
