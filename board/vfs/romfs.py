# MicroPython's ROMFS, read in place from a raw partition: a few bytes at a time, no image in memory. Lives beside boot.py
# in `vfs`, as source, never updated. The format: records of kind, length and payload, numbers in 7-bit groups.

import io

_DIRECTORY = 4
_FILE = 5
_VERBATIM = 2
_POINTER = 3
_BLOCK = 4096
_NAME = 64
_WINDOW = 64
_IS_DIRECTORY = 0x4000
_IS_FILE = 0x8000


class RomFS:
    """A read-only file system over `device` (readblocks with offset). Raises OSError 19 when there is none on it.

    What is damaged raises OSError 5. What stays in memory is a window of 64 bytes on the directories, and where was looked
    last, for an import looks for `name`, `name.py`, `name.mpy`, and for that once more.
    """

    def __init__(self, device):
        self._device = device
        self._size = device.ioctl(4, 0) * _BLOCK
        self._window = bytearray(_WINDOW)
        self._from = -_WINDOW  # where the window is
        for i in range(3):
            if self._byte(i) != b"\xd2\xcd\x31"[i]:
                raise OSError(19)
        size, start = self._number(3)
        self._root = self._place = _DIRECTORY, start, start + size
        self._folder = b""  # the path of the directory at `_place`
        self._stem = b"/"  # what was not there; how many names begin so, and where the first of them is
        self._count = self._first = 0
        if start + size > self._size:
            raise OSError(19)

    # What MicroPython asks of a file system

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def chdir(self, path):
        if self._find(path)[0] != _DIRECTORY:
            raise OSError(2)

    def getcwd(self):
        return "/"

    def stat(self, path):
        kind, start, end = self._find(path)
        mode = _IS_FILE if kind == _FILE else _IS_DIRECTORY
        return (mode, 0, 0, 0, 0, 0, end - start if kind == _FILE else 0, 0, 0, 0)

    def ilistdir(self, path):
        kind, start, end = self._find(path)
        if kind != _DIRECTORY:
            raise OSError(20)
        for _, name, kind, first, last in self._entries(start, end):
            try:
                name = str(name, "utf-8")
            except ValueError:
                raise OSError(5)
            if kind == _FILE:
                first, last = self._data(first, last)
            yield name, _IS_FILE if kind == _FILE else _IS_DIRECTORY, 0, last - first

    def open(self, path, mode):
        if "w" in mode or "a" in mode or "+" in mode:
            raise OSError(30)
        kind, start, end = self._find(path)
        if kind != _FILE:
            raise OSError(21)
        return _File(self, start, end, "b" not in mode)

    # The format

    def _read(self, at, buf):
        self._device.readblocks(at // _BLOCK, buf, at % _BLOCK)

    def _byte(self, at):
        if not 0 <= at - self._from < _WINDOW:
            if at >= self._size:
                raise OSError(5)
            self._from = min(at, self._size - _WINDOW)
            self._read(self._from, self._window)
        return self._window[at - self._from]

    def _number(self, at):
        value = 0
        for _ in range(5):
            i = at - self._from
            byte = self._window[i] if 0 <= i < _WINDOW else self._byte(at)
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, at
        raise OSError(5)

    def _record(self, at, end):
        """(kind, start and end of the payload) of the record at `at`, which must end by `end`."""
        kind, at = self._number(at)
        size, at = self._number(at)
        if at + size > end:
            raise OSError(5)
        return kind, at, at + size

    def _entries(self, at, end):
        """(where it is, name, kind, start, end) of what is in a directory: of its content, or of the file's records."""
        while at < end:
            here = at
            kind, start, at = self._record(at, end)
            if kind in (_FILE, _DIRECTORY):
                size, start = self._number(start)
                if size > _NAME or start + size > at:
                    raise OSError(5)
                name = bytearray(size)
                i = start - self._from
                if i + size <= _WINDOW:  # as it mostly is
                    name[:] = self._window[i : i + size]
                else:
                    self._read(start, name)
                yield here, name, kind, start + size, at

    def _data(self, at, end):
        """Start and end of a file's data, whose record is among those from `at` to `end`."""
        while at < end:
            kind, start, stop = self._record(at, end)
            if kind == _VERBATIM:
                return start, stop
            if kind == _POINTER:
                size, start = self._number(start)
                start, _ = self._number(start)
                if start + size > self._root[2]:
                    break
                return start, start + size
            at = stop
        raise OSError(5)

    def _find(self, path):
        """(kind, start, end) of the content of what is at `path`."""
        return self._at(path.encode().strip(b"/"))  # a str would be looked for among all names, each piece of it

    def _at(self, path):
        if not path:
            return self._root
        folder, _, name = path.rpartition(b"/")
        if folder != self._folder:
            self._place = self._at(folder)
            self._folder = folder
            self._stem = b"/"
        kind, start, end = self._place
        if kind != _DIRECTORY:
            raise OSError(2)
        if name in (b"", b"."):
            return self._place
        stem, count, first = name, -1, end
        if name.startswith(self._stem):
            stem, count, start = self._stem, self._count, self._first
        seen = 0
        for at, other, kind, begin, stop in self._entries(start, end):
            if other[: len(stem)] == stem:
                if other == name:
                    return (kind, begin, stop) if kind == _DIRECTORY else (kind,) + self._data(begin, stop)
                seen += 1
                if seen == 1:
                    first = at
                if seen == count:
                    break
        if count < 0:
            self._stem, self._count, self._first = name, seen, first
        raise OSError(2)


class _File(io.IOBase):
    def __init__(self, fs, start, end, text):
        self._fs = fs
        self._start = self._at = start
        self._end = end
        self._text = text

    def readinto(self, buf):
        size = min(len(buf), self._end - self._at)
        if size:
            self._fs._read(self._at, memoryview(buf)[:size])
            self._at += size
        return size

    def read(self, size=-1):
        left = self._end - self._at
        buf = bytearray(left if size is None or size < 0 else min(size, left))
        self.readinto(buf)
        return str(buf, "utf-8") if self._text else bytes(buf)

    def seek(self, offset, whence=0):
        base = (self._start, self._at, self._end)[whence]
        self._at = max(self._start, min(self._end, base + offset))
        return self._at - self._start

    def tell(self):
        return self._at - self._start

    def ioctl(self, request, argument):
        return 256 if request == 11 else 0  # 11: the buffer that a reader should use

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
