"""Damaged input from good examples: the same on both interpreters for the same seed."""

_NUMBERS = (0, 1, 2, 3, 7, 8, 12, 13, 15, 16, 23, 24, 31, 32, 63, 64, 127, 128, 129, 191, 192, 223, 224, 248, 254, 255)


class Random:
    """A small generator (xorshift, 32 bits)."""

    def __init__(self, seed):
        self._state = (seed * 2654435761 + 1) & 0xFFFFFFFF or 1

    def below(self, n):
        """A number from 0 to n - 1."""
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return x % n if n else 0

    def bytes(self, n):
        """`n` bytes."""
        return bytes([self.below(256) for _ in range(n)])


def mutated(random, examples, limit):
    """One of `examples` after one to eight changes, of `limit` bytes at most."""
    data = bytearray(examples[random.below(len(examples))])
    for _ in range(1 + random.below(8) * random.below(2)):
        kind = random.below(11)
        at = random.below(len(data) + 1)
        size = 1 + random.below((4, 16, 64)[random.below(3)])
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random.below(8)
        elif kind == 1 and at < len(data):
            data[at] = _NUMBERS[random.below(len(_NUMBERS))]
        elif kind == 2:
            data[at : at + size] = b""
        elif kind == 3:
            data[at:at] = random.bytes(size)
        elif kind == 4:  # a part once more, elsewhere
            data[at:at] = data[random.below(len(data) + 1) :][:size]
        elif kind == 5:
            other = examples[random.below(len(examples))]
            data[at:] = other[random.below(len(other) + 1) :]
        elif kind == 6:
            data = data[:at]
        elif kind == 7:  # a length, or half of one
            data[at : at + 2] = bytes((_NUMBERS[random.below(4)], _NUMBERS[random.below(len(_NUMBERS))]))
        elif kind == 8:
            data[at:at] = bytes((_NUMBERS[random.below(len(_NUMBERS))],)) * (size * random.below(8))
        elif kind == 9 and at < len(data):  # one more or one less
            data[at] = (data[at] + 1 - 2 * random.below(2)) & 255
        else:
            data.extend(random.bytes(random.below(8)))
    return bytes(data[:limit])
