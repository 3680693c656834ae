"""The few helpers that tests need on both interpreters (MicroPython has no pytest)."""

import asyncio
import sys

# MicroPython takes five times as long for the same code: it takes every third of the many steps that CPython takes.
COARSER = 3 if sys.implementation.name == "micropython" else 1


class raises:
    """`with raises(ValueError, "text") as caught:` fails unless the block raises such an error with `text` in it."""

    def __init__(self, kind, text=""):
        self.kind = kind
        self.text = text
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _traceback):
        if kind is None:
            raise AssertionError("nothing was raised, expected %s" % self.kind.__name__)
        if not issubclass(kind, self.kind):
            return False
        self.value = value
        assert self.text in str(value), "%r is not in %r" % (self.text, str(value))
        return True


def unhex(text):
    """Bytes of a hexadecimal string in which blanks may stand."""
    text = "".join(text.split())
    return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


class Turns:
    """`async with Turns() as turns:` counts, in `turns.count`, how often another task of the loop gets its turn."""

    count = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._other())
        return self

    async def __aexit__(self, *_exc):
        self._task.cancel()

    async def _other(self):
        while True:
            self.count += 1
            await asyncio.sleep(0)
