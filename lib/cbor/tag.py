"""Values that Python has no type for: tags (RFC 8949 section 3.4), and maps whose order is to be kept."""


class Tag:
    """`value` under tag `number`. Not hashable: a Tag is no key of a map."""

    def __init__(self, number, value):
        self.number = number
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value


class Pairs(list):
    """A map as a list of (key, value), encoded in this order: MicroPython's dict keeps none."""
