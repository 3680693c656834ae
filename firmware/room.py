"""Room for records and tables that no app can take: a file that gives way when there is no other. A phase."""

import os

from port import const

_KEPT = const(24576)  # the tables of chunks of a 4 MB board, a record and its new one, and what LittleFS needs for it
_TABLES = const(12288)


def keep(folder):
    """Have the file, if there is space for it."""
    try:
        if os.stat(_file(folder))[6] == _KEPT:
            return
    except OSError:  # there is none
        pass
    try:
        if _free(folder) > _KEPT:
            piece = bytes(512)
            with open(_file(folder), "wb") as file:
                for _ in range(0, _KEPT, 512):
                    file.write(piece)
    except OSError:
        give(folder)


def find(folder):
    """Have space for tables."""
    try:
        if _free(folder) < _TABLES:
            give(folder)
    except OSError:  # whoever writes there hears of it
        pass


def give(folder):
    """Make the file's space free."""
    try:
        os.remove(_file(folder))
    except OSError:
        pass


def _file(folder):
    return folder + "/room"


def _free(folder):
    found = os.statvfs(folder)
    return found[0] * found[3] if found[3] <= found[2] else 0  # LittleFS may count more blocks in use than there are
