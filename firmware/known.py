"""Names of what every device loads, made known at once: each would lie amidst the heap, where code was. A phase.

MicroPython never gives a name back. It has them in pieces of 128 bytes, which come as names do. When an image is built,
those of the start and of ordinary service are put here (tools/fargo/known.py).
"""


def learn():
    """Make them known: by asking for what has such a name."""
    _ask("")  # the names, a blank after each


def _ask(names):
    begin = 0
    while begin < len(names):
        end = names.find(" ", begin)
        hasattr(None, names[begin:end])
        begin = end + 1
