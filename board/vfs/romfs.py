# MicroPython's ROMFS, read in place from a raw partition: a few bytes at a time, no image in memory. Lives beside boot.py
# in `vfs`, as source, never updated. The format: records of kind, length and payload, numbers in 7-bit groups.

import io

_IMAGE = 0x14A6B1
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

    What is damaged raises OSError 5. All that stays in memory is a window of 64 bytes on the directories, where that
    directory is that was looked into last, and where in it names begin with what was not there: an import asks for `name`,
    `name.py`, `name.mpy`, and for that once more.

    `/~.mpy` is the file that was chosen last: MicroPython keeps the path of each module that it imports, for ever.
    """

    def __init__(self, device):
        self._device = device
        self._size = device.ioctl(4, 0) * _BLOCK
        self._window = bytearray(_WINDOW)
        self._from = -_WINDOW  # where the window is
        try:
            kind, end = self._record(0, self._size)
        except OSError:
            kind = 0
        if kind != _IMAGE:
            raise OSError(19)
        self._root = self._at, end  # _at: the next byte to look at
        self._folder, self._bounds = b"", self._root
        self._stem, self._count = b"/", 0  # what was not there, and how many names in the directory begin with it
        self._chosen = None

    def choose(self, path):
        """Have the file at `path` be `/~.mpy` as well. Raises OSError."""
        self._chosen = self._find(path)

    # What MicroPython asks of a file system

    def chdir(self, path):
        if self._find(path)[0] != _DIRECTORY:
            raise OSError(2)

    def getcwd(self, *_):
        return "/"

    mount = umount = getcwd  # what these return is nobody's

    def stat(self, path):
        kind, start, end = self._find(path)
        mode = _IS_FILE if kind == _FILE else _IS_DIRECTORY
        return (mode, 0, 0, 0, 0, 0, end - start if kind == _FILE else 0, 0, 0, 0)

    def ilistdir(self, path):
        kind, start, end = self._find(path)
        if kind != _DIRECTORY:
            raise OSError(20)
        while entry := self._entry(start, end):
            _, name, kind, first, start = entry
            last = start
            if kind == _FILE:
                first, last = self._data(first, last)
            try:
                name = str(name, "utf-8")
            except ValueError:
                raise OSError(5)
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

    def _look(self):
        """Have the window on what is next, and say where in it that is."""
        at = min(self._at, self._size - _WINDOW)
        if self._at >= self._size:
            raise OSError(5)
        self._from = -_WINDOW  # until it is read
        self._read(at, self._window)
        self._from = at
        return self._at - at

    def _number(self):
        value = 0
        for _ in range(5):
            i = self._at - self._from
            if not 0 <= i < _WINDOW:
                i = self._look()
            byte = self._window[i]
            self._at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise OSError(5)

    def _record(self, at, end):
        """(kind, end) of the record at `at`, which must end by `end`. Its payload is next."""
        self._at = at
        kind = self._number()
        size = self._number()
        if self._at + size > end:
            raise OSError(5)
        return kind, self._at + size

    def _entry(self, at, end, stem=b""):
        """(where it is, name, kind, start and end of its records) of the first entry from `at` on whose name begins with
        `stem`, or None."""
        while at < end:
            here = at
            kind, at = self._record(at, end)
            if kind != _FILE and kind != _DIRECTORY:
                continue
            size = self._number()
            if size > _NAME or self._at + size > at:
                raise OSError(5)
            if size >= len(stem) and self._begins(stem):
                name = bytearray(size)
                self._read(self._at, name)
                return here, name, kind, self._at + size, at
        return None

    def _begins(self, stem):
        """Whether `stem` is next. Most entries are others, so it takes no memory."""
        i = self._at - self._from
        if not 0 <= i <= _WINDOW - len(stem):
            i = self._look()
        for byte in stem:
            if self._window[i] != byte:
                return False
            i += 1
        return True

    def _data(self, at, end):
        """Start and end of a file's data, whose record is among those from `at` to `end`."""
        while at < end:
            kind, at = self._record(at, end)
            if kind == _VERBATIM:
                return self._at, at
            if kind == _POINTER:
                size = self._number()
                start = self._number()
                if start + size > self._root[1]:
                    break
                return start, start + size
        raise OSError(5)

    def _find(self, path):
        """(kind, start, end): of a directory's records, or of a file's data."""
        if isinstance(path, str):
            path = path.encode().strip(b"/")  # MicroPython looks for each new str among all that it has
        if path == b"~.mpy" and self._chosen:
            return self._chosen
        if path in (b"", b"."):
            return (_DIRECTORY,) + self._root
        folder, _, name = path.rpartition(b"/")
        if name in (b"", b"."):
            return self._find(folder)
        if folder != self._folder:
            kind, start, end = self._find(folder)
            if kind != _DIRECTORY:
                raise OSError(2)
            self._folder, self._bounds, self._stem = folder, (start, end), b"/"
        at, end = self._bounds
        stem, count = name, -1  # not known
        if name.startswith(self._stem):
            stem, count, at = self._stem, self._count, self._first
        seen, first = 0, end
        while seen != count and (entry := self._entry(at, end, stem)):
            here, other, kind, start, at = entry
            if other == name:
                return (kind,) + (self._data(start, at) if kind == _FILE else (start, at))
            if not seen:
                first = here
            seen += 1
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

    def ioctl(self, request=0, *_):
        return 256 if request == 11 else 0  # 11: the buffer that a reader should use

    close = __exit__ = ioctl  # there is nothing to do

    def __enter__(self):
        return self
