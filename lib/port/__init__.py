"""The one place that knows which interpreter this is.

Everything that differs between CPython and MicroPython, and nothing else, is reached through these names. `phase` is the
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
    for a while, and gives back more than this when it fails. It is one piece, and a second one of `spare` bytes for what is
    only for a moment, such as a datagram: what comes to lie in the first stays there. The buffers of an update are made of
    both, which `lend` and `back` hand over as they are.
    """

    size = spare = 0
    lent = 0  # to so many: what is not urgent waits until it is held again
    garbage = 32768  # bytes that are left lying before they are collected; the composition may want fewer
    _held = _second = b""

    def good(self):
        """Whether at least half of it is held, enough for an answer; or it is lent."""
        return self.lent > 0 or len(self._held) * 2 >= self.size  # asked when there is no memory, and takes none

    def deaf(self):
        """Whether the heap has grown into what the radio needs, which on a chip comes before MemoryError. The composition
        knows."""
        return False

    def left(self):
        """Bytes that there are beside it. The composition knows better where a heap may grow, but should not."""
        return _impl.memory_free()

    def take(self, second=False):
        """Hold it again, or what can be had of it: names of what was loaded there stay, for one.

        `second`: of the first piece half is enough.
        """
        if self.lent:
            return
        if len(self._held) < self.size and not (second and self.good()):
            self._held = b""
            size = self.size
            while size * 2 >= self.size:
                self._held = self._last(size)
                if self._held and not self.deaf():
                    break
                self._held = b""
                _impl.collect()
                size = size * 3 // 4
        if len(self._second) < self.spare:
            self._second = piece(self.spare)
            if self.deaf():
                self._second = b""
                _impl.collect()

    def _last(self, size):
        """A piece of so many bytes, or none: the last of up to nine. MicroPython puts what is new as near to the heap's
        beginning as it can: what lives on would soon lie where the reserve was let go, and no piece as large be found again.
        """
        found = piece(size)
        try:
            before = []
            while found and len(before) < 8:
                more = piece(size)
                if not more or self.deaf():
                    break
                before.append(found)
                found = more
        except MemoryError:
            pass
        more = before = None
        _impl.collect()
        return found

    def let_go(self, second=False):
        """Give it up, and say whether that brought memory. `second`: as long as there is the second piece, that alone."""
        held = len(self._second)
        if held:  # or it may be stored for the first time, which takes memory
            self._second = b""
        if not (second and held):
            held += len(self._held)
            self._held = b""
        held = max(held, 0, 0, 0)  # MicroPython's stack shows the pieces until something else lies where they were
        if held:  # else MicroPython has collected already, before it raised MemoryError
            _impl.collect()
        return held > 0

    def lend(self):
        """A list with both pieces, or what there is of them, to be used or cleared until it comes `back`."""
        pieces = [self._held, self._second]
        self._held = self._second = b""
        self.lent += 1  # last: what is stored for the first time takes memory
        return pieces

    def back(self, pieces):
        """What `lend` gave, others in their place, or nothing."""
        self.lent -= 1
        if pieces and self.size:
            self._held, self._second = pieces
        self.take()

    def offer(self, enough):
        """Lend it as `with` does, but where there are `enough` bytes beside it hold it until MemoryError is met."""
        _impl.collect()
        if self.left() < enough:
            self.let_go()
        self.lent += 1

    def __enter__(self):
        self.let_go()
        self.lent += 1

    def __exit__(self, _kind=None, _error=None, _trace=None):
        self.lent -= 1
        self.take()
        return False


def piece(size):
    """So many bytes, or none."""
    try:
        return bytearray(size)
    except MemoryError:
        return b""


reserve = Reserve()  # the interpreter has one heap


def spent(module, is_so=True):
    """Say of a phase's module that nothing of it is used once the phase is left: it is emptied then.

    A coroutine that has ended is often found for a while yet, in places of the stack that nobody has written to since, and
    would keep all the code of its module.

    Whoever may have it at the same time says that it is not so, and then it never is.
    """
    module.ended = is_so and getattr(module, "ended", True)


class phase:
    """Hold modules in memory for the length of a `with` block.

    `with phase("swupdate.install.obtain") as obtain:` imports the module (several names give a tuple) and on leaving takes
    out of `sys.modules`, and out of their parent packages, every module that entering loaded; then collects. Objects that
    came from a phase must not outlive it; nor must the name behind `as`, so a function that goes on for long after the
    block has it in another function.
    """

    load = None  # a method that imports a module, when the composition has a better one

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
                (self.load or __import__)(name)
            whole = not (reserve._held and reserve.deaf())  # rather than the radio's, this gets the reserve's
        except ImportError as error:
            # MicroPython takes a file system that had no memory to answer for one that has no such file.
            raise MemoryError("ImportError: %s" % error)  # noqa: B904
        finally:
            spare = None  # noqa: F841 - what could be loaded in part, for want of memory, is found with this
            # Taken at once: another task may load a phase of its own before this one ends.
            self._loaded = [name for name in _impl.loaded() if name not in before]
            if not whole:
                self.__exit__()
        if not whole:
            raise MemoryError

    # None of this takes memory, for there may be none, and what was done is done: no `*_exc`, which would be a tuple.
    def __exit__(self, _kind=None, _error=None, _trace=None):
        if not self._loaded:
            return False
        for name in self._loaded:
            module = sys.modules.pop(name, None)
            if getattr(module, "ended", False):
                module.__dict__.clear()
            if "." in name:
                parent, _, child = name.rpartition(".")
                if parent in sys.modules and hasattr(sys.modules[parent], child):
                    delattr(sys.modules[parent], child)
        self._loaded.clear()
        _impl.collect()
        return False


if sys.implementation.name == "micropython":
    pass
else:
    phase = _impl.among_threads(phase)  # type: ignore[attr-defined]
