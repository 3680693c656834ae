"""Values that Python has no type for: tags (RFC 8949 section 3.4), and maps whose order is to be kept."""


class Tag:
    """`value` under tag `number`."""

    def __init__(self, number, value):
        self.number = number
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Tag) and (self.number, self.value) == (other.number, other.value)

    def __hash__(self):
        return hash((self.number, self.value))

    def __repr__(self):
        return "Tag(%d, %r)" % (self.number, self.value)


class Pairs(list):
    """A map as a list of (key, value), encoded in this order: MicroPython's dict keeps none."""
