"""One path for all modules of phases: MicroPython keeps the path of each file that it imports as a name, for ever.

Some thirty bytes each, and of names only so many before there is another table for as many again.
"""

import builtins
import sys

_ALIAS = "~"  # no module is called so
_LONGEST = 3  # characters of what modules are called in an app image, all but the app's own


def loader(files):
    """A method of phases that imports a module from `files` (the RomFS of `board/vfs`) always by the same path, and so what
    that imports."""
    whole = builtins.__import__
    modules = sys.modules
    outer = []  # what is being imported now, the innermost last

    def one(name, *how):
        if len(name) > _LONGEST or name[0] != "_" or name in modules:
            return whole(name, *how)
        try:
            files.choose(name + ".mpy")
        except OSError:  # it is somewhere else
            return whole(name, *how)
        if _ALIAS in modules:  # this is one of its own imports
            modules[outer[-1]] = modules.pop(_ALIAS)
        outer.append(name)
        try:
            module = modules[name] = whole(_ALIAS)
            return module
        finally:
            outer.pop()
            modules.pop(_ALIAS, None)

    def load(_phase, name):
        # Not for longer, nor for the app: with another function there MicroPython takes no relative import, as asyncio has
        # them for its Lock.
        if name[0] != "_":
            return whole(name)
        builtins.__import__ = one
        try:
            one(name)
        finally:
            del builtins.__import__

    return load
