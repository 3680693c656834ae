"""What code takes of the heap, for heap.py: `micropython heap_target.py FOLDER PLAN`, with the device's `.mpy` in FOLDER.

PLAN: a line with all modules, each after those that it imports, the resident ones first; then a line "TITLE=MODULES" for
each phase. Prints lines of words. Everything is loaded twice: names stay, so the second time shows the code alone.
"""

import gc
import sys

import micropython

micropython.opt_level(3)
sys.path[:] = [sys.argv[1], ".frozen"]

import asyncio  # noqa: E402 - the platform's, before anything is measured

asyncio.sleep_ms, asyncio.wait_for, asyncio.Event, asyncio.Lock, asyncio.gather, asyncio.open_connection  # noqa: B018


class Anything:
    """A module that only a board has."""

    def __getattr__(self, name):
        return self

    def __call__(self, *_args):
        return self


for board in ("esp32", "machine", "network"):
    sys.modules[board] = Anything()


def used():
    """Live bytes."""
    gc.collect()
    return gc.mem_alloc()


def load(names, what):
    """Import one after the other."""
    for name in names:
        before = used()
        __import__(name)
        after = used()
        print(what, name, after - before)
        micropython.qstr_info()


def unload():
    """Forget all that is not the platform's."""
    for name in list(sys.modules):
        if name not in platform:
            del sys.modules[name]


def inside(phase, names):
    """Live bytes while a phase is held."""
    with phase(*names):
        return used()


def main():
    with open(sys.argv[2]) as file:
        resident, rest, *phases = file.read().split("\n")
    print("names", "-", 0)
    micropython.qstr_info()
    load(resident.split(" ") + rest.split(" "), "names")
    unload()
    start = used()
    load(resident.split(" "), "heap")
    print("resident", "-", used() - start)
    load(rest.split(" "), "heap")
    unload()
    for name in resident.split(" "):
        __import__(name)
    phase = sys.modules["main"].phase
    for line in phases:
        title, _, names = line.partition("=")
        names = names.split(" ")
        held = after = first = 0
        for turn in range(4):
            held = inside(phase, names)
            after = used()
            if turn == 1:
                first = after
        print("phase", title, held - after, after - first)


platform = set(sys.modules)
main()
