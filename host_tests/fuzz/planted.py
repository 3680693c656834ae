"""A reader with an error that chance does not find: the proof that fuzzing led by coverage does."""

from target import Target


def run(data):
    for at, byte in enumerate(b"fargo"):
        if data[at : at + 1] != bytes((byte,)):
            return at
    raise IndexError("planted")


bug = Target("planted:bug", [b"x"], run, (), 16)
