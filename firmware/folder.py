"""The app's own folder: a phase, loaded at the start and for a RESET."""

import os


def made(path):
    """`path`, which is a folder from now on."""
    try:
        os.mkdir(path)
    except OSError:  # it is there
        pass
    return path


def empty(path):
    """Remove all that is in the folder `path`. It can be begun again after a power failure."""
    for name in os.listdir(path):
        inner = path + "/" + name
        try:
            os.remove(inner)
        except OSError:
            try:
                empty(inner)
                os.rmdir(inner)
            except OSError:  # the app has it open, or writes meanwhile: the rest goes all the same
                pass
