"""The one place that knows which interpreter this is.

Everything that differs between CPython and MicroPython, and nothing else, is reached through these names. `phase`
is the
loader that brings code into memory for as long as it is needed.
"""

import sys

# Every name of theirs, which costs the device less than naming them once more.
if sys.implementation.name == "micropython":
    from port import _micropython as _impl
    from port._micropython import *  # noqa: F403
else:
    from port import _cpython as _impl
    from port._cpython import *  # noqa: F403


class Reserve:
    """Memory held back for when there is no other: given up where MemoryError was met, and taken again afterwards.

    `size` in bytes; 0 until the composition says what to hold back. `with reserve:` lends it to what needs all memory
    for a while, and gives back more than this when it fails. It is one piece: an update needs two of 4 KB, and has them
    there.
    """

    size = 0
    garbage = 32768  # bytes that are left lying before they are collected; the composition may want fewer
    _held = b""
    _lent = 0

    def good(self):
        """Whether at least a quarter of it is held, enough for an answer; or it is lent."""
        return self._lent > 0 or len(self._held) * 4 >= self.size  # asked when there is no memory, and takes none

    def take(self):
        """Hold it again, or what can be had of it in one piece: names of what was loaded there stay, for one."""
        size = self.size
        if self._lent or len(self._held) >= size:
            return
        self._held = b""
        while size * 4 >= self.size:
            try:
                self._held = bytearray(size)
                return
            except MemoryError:
                size = size * 3 // 4

    def let_go(self):
        """Give it up, and say whether that brought memory."""
        held = len(self._held)
        self._held = b""
        _impl.collect()
        return held > 0

    def __enter__(self):
        self._lent += 1
        self.let_go()

    def __exit__(self, _kind=None, _error=None, _trace=None):
        self._lent -= 1
        self.take()
        return False


reserve = Reserve()  # the interpreter has one heap


class phase:
    """Hold modules in memory for the length of a `with` block.

    `with phase("swupdate.install.obtain") as obtain:` imports the module (several names give a tuple) and on
    leaving takes
    out of `sys.modules`, and out of their parent packages, every module that entering loaded; then collects.
    Objects that
    came from a phase must not outlive it; nor must the name behind `as`, so a function that goes on for long after the
    block has it in another function.
    """

    def __init__(self, *names):
        self._names = names
        self._loaded = []

    def __enter__(self):
        for name in self._names:
            if name not in sys.modules:
                try:
                    self._load()
                except MemoryError:
                    if not reserve.let_go():  # held back for just this: code that answers
                        raise
                    self._load()
                break
        if len(self._names) == 1:
            return sys.modules[self._names[0]]
        try:
            return tuple([sys.modules[name] for name in self._names])
        except MemoryError:
            self.__exit__()  # nobody else will
            raise

    def _load(self):
        _impl.collect()  # what is loaded goes where garbage was, and leaves the heap's large pieces whole
        before = set(sys.modules)
        spare = bytearray(128)
        whole = False
        try:
            for name in self._names:
                __import__(name)
            whole = True
        except ImportError as error:
            # MicroPython takes a file system that had no memory to answer for one that has no such file.
            raise MemoryError(str(error))  # noqa: B904
        finally:
            spare = None  # noqa: F841 - what could be loaded in part, for want of memory, is found with this
            # Taken at once: another task may load a phase of its own before this one ends.
            self._loaded = [name for name in _impl.loaded() if name not in before]
            if not whole:
                self.__exit__()

    # None of this takes memory, for there may be none, and what was done is done: no `*_exc`, which would be a tuple.
    def __exit__(self, _kind=None, _error=None, _trace=None):
        if not self._loaded:
            return False
        for name in self._loaded:
            sys.modules.pop(name, None)
            if "." in name:
                parent, _, child = name.rpartition(".")
                if parent in sys.modules and hasattr(sys.modules[parent], child):
                    delattr(sys.modules[parent], child)
        self._loaded.clear()
        _impl.collect()
        return False
