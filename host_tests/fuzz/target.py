"""What one target of fuzzing is, and inputs that are several datagrams or records."""

DATAGRAM = 1500


class Target:
    """`examples`: the first is good. `limit`: bytes of input at most; `slow`: one run costs as much as that many others.

    `memory`: bytes that one run may take, and 60 more for each of the input; 0 where code is loaded meanwhile, which takes
    more than all data: there MicroPython's heap is the limit.
    """

    def __init__(self, name, examples, run, allowed, limit=DATAGRAM, slow=1, memory=30_000):
        self.name = name
        self.examples = examples
        self.run = run
        self.allowed = allowed
        self.limit = limit
        self.slow = slow
        self.memory = memory


def parts(data):
    """(flags, bytes) of each part of an input: a byte, a length of two bytes (the low 12 bits of it) and as much, or less at
    the end."""
    found = []
    at = 0
    while at + 3 <= len(data):
        end = at + 3 + ((data[at + 1] << 8 | data[at + 2]) & 0xFFF)
        found.append((data[at], bytes(data[at + 3 : end])))
        at = end
    return found


def joined(*found):
    """The input that has these parts."""
    return b"".join([bytes((flags,)) + len(data).to_bytes(2, "big") + bytes(data) for flags, data in found])
