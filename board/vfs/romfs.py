# MicroPython's ROMFS, read in place from a raw partition: a few bytes at a time, no image in memory. Lives beside boot.py
# in `vfs`, as source, never updated. The format: records of kind, length and payload, numbers in 7-bit groups.

import io

_DIRECTORY = 4
_FILE = 5
_VERBATIM = 2
_POINTER = 3
_BLOCK = 4096
_NAME = 64
_IS_DIRECTORY = 0x4000
_IS_FILE = 0x8000


class RomFS:
    """A read-only file system over `device` (readblocks with offset). Raises OSError 19 when there is none on it."""

    def __init__(self, device):
        self._device = device
        head = bytearray(3)
        self._read(0, head)
        if head != b"\xd2\xcd\x31":
            raise OSError(19)
        size, start = self._number(3)
        self._root = start, start + size
        if start + size > device.ioctl(4, 0) * _BLOCK:
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
        for name, kind, start, stop in self._entries(start, end):
            yield name, _IS_FILE if kind == _FILE else _IS_DIRECTORY, 0, stop - start

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

    def _number(self, at):
        buf = bytearray(1)
        value = 0
        for _ in range(5):
            self._read(at, buf)
            at += 1
            value = value << 7 | buf[0] & 0x7F
            if buf[0] < 0x80:
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
        """(name, kind, start, end) of what is in a directory: of its content, or of the file's data."""
        while at < end:
            kind, start, stop = self._record(at, end)
            at = stop
            if kind != _FILE and kind != _DIRECTORY:
                continue
            size, start = self._number(start)
            if size > _NAME or start + size > stop:
                raise OSError(5)
            name = bytearray(size)
            self._read(start, name)
            start += size
            if kind == _FILE:
                what, start, stop = self._record(start, stop)
                if what == _POINTER:
                    size, start = self._number(start)
                    start, _ = self._number(start)
                    stop = start + size
                elif what != _VERBATIM:
                    raise OSError(5)
                if stop > self._root[1]:
                    raise OSError(5)
            yield str(name, "utf-8"), kind, start, stop

    def _find(self, path):
        kind, (start, end) = _DIRECTORY, self._root
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if kind != _DIRECTORY:
                raise OSError(2)
            for name, kind, first, last in self._entries(start, end):
                if name == part:
                    start, end = first, last
                    break
            else:
                raise OSError(2)
        return kind, start, end


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
