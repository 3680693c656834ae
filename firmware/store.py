"""Durable records: small files that are either the old or the new, never something between."""

import os

from port import sync


class Store:
    """Named records in a folder: `/data` on the device, any directory on the desktop.

    Names are short and plain (`update`, `name`); a record is replaced by writing a new file, syncing and renaming.
    """

    def __init__(self, path):
        self._path = path

    def load(self, name):
        """The bytes of record `name`, or None when there is none that can be read."""
        try:
            with open(self._file(name), "rb") as file:
                return file.read()
        except OSError:
            return None

    def save(self, name, data):
        """Replace record `name` by `data`, atomically. Raises OSError, and then the old one is intact."""
        with open(self._file(name + ".new"), "wb") as file:
            file.write(data)
            file.flush()
        sync()
        os.rename(self._file(name + ".new"), self._file(name))
        sync()

    def remove(self, name):
        """Forget record `name`, and what a power failure has left of a newer one; none at all is no error."""
        for file in (name, name + ".new"):
            try:
                os.remove(self._file(file))
            except OSError:
                pass

    def open(self, name, mode):
        """A file for tables that are too large for memory; not atomic, so its reader checks a digest."""
        return open(self._file(name), mode)

    def _file(self, name):
        return self._path + "/" + name
