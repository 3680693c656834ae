"""Ways into the functions of a profile that callgrind can tell apart; runs on the simulated chip, for profile_update.py.

Each function is called by way of a few bytes of machine code of its own. What callgrind counts there, with all C functions
skipped, is what the Python function costs; which address is whose is printed.
"""

import struct

import micropython
import uctypes

_TEXT = {
    "def": "def make(f):\n @micropython.native\n def t(%s):\n  return f(%s)\n return t\n",
    "async": "def make(f):\n @micropython.native\n async def t(%s):\n  return await f(%s)\n return t\n",
    "yield": "def make(f):\n @micropython.native\n def t(%s):\n  return (yield from f(%s))\n return t\n",
}
_CALLS = 1000  # by which profile_update.py divides
_makers = {}


def way(name, kind, parameters):
    """A decorator; `parameters` as in both a definition and a call."""

    def decorate(function):
        make = _makers.get(name)
        if make:
            return make(function)
        names = {"micropython": micropython}
        exec(_TEXT[kind] % (parameters, parameters), names)
        make = _makers[name] = names["make"]
        made = make(function)
        code = struct.unpack("QQQQ", uctypes.bytes_at(_word(id(made) + 8), 32))[3]
        print("way", name, hex(code & ~0xFFF))
        return made

    return decorate


def _word(at):
    return struct.unpack("Q", uctypes.bytes_at(at, 8))[0]


def _nothing(value):
    pass


def _call(function):
    for _ in range(_CALLS):
        function(None)


way = way("profile", "def", "name, kind, parameters")(way)
way("toll.without", "def", "function")(_call)(_nothing)
way("toll.with", "def", "function")(_call)(way("toll.call", "def", "value")(_nothing))
