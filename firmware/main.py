"""The product's entry: `boot.py` imports this module from the running slot and calls `run()`."""

import asyncio

from board import Board
from firmware.node import Node


def run():
    """Build the device and serve until the power goes."""
    asyncio.run(Node(Board()).run())
