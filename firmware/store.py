"""Durable records: small files that are either the old or the new, never something between."""

import os

from port import const, phase, sync

_ENOENT = const(2)
_ENOSPC = const(28)
_UNREADABLE = b"\xff"  # is no CBOR


class Store:
    """Named records in a folder: `/data` on the device, any directory on the desktop.

    Names are short and plain (`update`, `name`); a record is replaced by writing a new file, syncing and renaming.
    """

    def __init__(self, path):
        self._path = path

    def load(self, name):
        """The bytes of record `name`, or None when there is none. What cannot be read is as good as what makes no sense."""
        try:
            with open(self._file(name), "rb") as file:
                return file.read() or _UNREADABLE
        except OSError as error:
            return None if error.args[0] == _ENOENT else _UNREADABLE

    def save(self, name, data):
        """Replace record `name` by `data`, atomically. Raises OSError, and then the old one is intact."""
        try:
            self._write(name, data)
        except OSError as error:
            if error.args[0] != _ENOSPC:
                raise
            with phase("firmware.room") as room:
                room.give(self._path)
            self._write(name, data)

    def remove(self, name):
        """Forget record `name`, and what a power failure has left of a newer one; none at all is no error."""
        for file in (name, name + ".new"):
            try:
                os.remove(self._file(file))
            except OSError:
                pass

    def open(self, name, mode):
        """A file for tables that are too large for memory; not atomic, so its reader checks a digest."""
        if "w" in mode:
            with phase("firmware.room") as room:
                room.find(self._path)
        return open(self._file(name), mode)

    def keep_room(self):
        """See to it that records and tables find room when an app has taken all that there is."""
        with phase("firmware.room") as room:
            room.keep(self._path)

    def _write(self, name, data):
        with open(self._file(name + ".new"), "wb") as file:
            file.write(data)
            file.flush()
        sync()
        os.rename(self._file(name + ".new"), self._file(name))
        sync()

    def _file(self, name):
        return self._path + "/" + name
