"""The seed corpus: corpus/TARGET.txt, an input a line in hexadecimal; a line that begins with # says why the next is there.

What has a reason stays; the others are chosen anew, for the code that they reach, by `guided.py --keep`. Read by both
interpreters.
"""

import binascii

FOLDER = __file__.rpartition("/")[0] + "/corpus/"


def lines(name):
    """(why or None, input) of the target `name`."""
    found = []
    why = None
    try:
        file = open(FOLDER + name + ".txt")  # noqa: SIM115 - the same code on both
    except OSError:
        return found
    with file:
        for line in file:
            line = line.strip()
            if line[:1] == "#":
                why = line[1:].strip()
            else:
                found.append((why, binascii.unhexlify(line)))
                why = None
    return found


def inputs(name):
    """The inputs of the target `name`."""
    return [data for _, data in lines(name)]


def write(name, found):
    """Make `found`, as `lines` gives it, the corpus of the target `name`."""
    with open(FOLDER + name + ".txt", "w") as file:
        for why, data in found:
            if why:
                file.write("# %s\n" % why)
            file.write(binascii.hexlify(data).decode() + "\n")
