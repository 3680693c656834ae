"""The files of a release folder, as the server hands them out: by URL path, never anything outside the folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote

_MAX_PATH = 1024
_CACHED = 64  # open files kept
_BLOCK = 1 << 20


class Item:
    """One file as it was when opened: `size` in bytes, `digest` its SHA-256, the entity tag of both protocols."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self.identity = _identity(os.fstat(self._file.fileno()))
        self.size = self.identity[1]
        self.digest = self._hash()

    def _hash(self) -> bytes:
        digest = hashlib.sha256()
        for offset in range(0, self.size, _BLOCK):
            digest.update(self.read(offset, _BLOCK))
        return digest.digest()

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; b"" at the end."""
        self._file.seek(offset)
        return self._file.read(length)


class Folder:
    """Finds files below `root`. Hidden files, links that lead outside and everything but plain files do not exist."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve(strict=True)
        if not self.root.is_dir():
            raise NotADirectoryError(20, "not a directory", str(root))
        self._items: dict[Path, Item] = {}

    def locate(self, url_path: str) -> Path | None:
        """The file that a URL path (still percent-encoded) names, or None."""
        if not url_path.startswith("/") or len(url_path) > _MAX_PATH:
            return None
        segments = [unquote(segment) for segment in url_path[1:].split("/")]
        if any(s == "" or s.startswith(".") or any(c in s for c in "/\\:\0") for s in segments):
            return None
        try:
            path = self.root.joinpath(*segments).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return path if path.is_relative_to(self.root) and path.is_file() else None

    def open(self, url_path: str) -> Item | None:
        """The file for a URL path, or None."""
        path = self.locate(url_path)
        if path is None:
            return None
        try:
            item = self._items.pop(path, None)
            if item is None or item.identity != _identity(path.stat()):
                item = Item(path)
        except OSError:
            return None
        self._items[path] = item
        while len(self._items) > _CACHED:
            del self._items[next(iter(self._items))]
        return item


def _identity(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
