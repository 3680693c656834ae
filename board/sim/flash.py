"""The NOR flash of the simulated chip, in a file: it behaves, takes its time, and can lose power in the middle."""

import struct
import time

SECTOR = 4096
PAGE = 256
ENTRY = "<BLL"  # of a journal: ERASE or PROGRAM, where, how many bytes
ERASE, PROGRAM = 0, 1


class Flash:
    """`settings`: "erase_ms" of a sector and "program_ms" of 4 KB, which block; "cut_at": the operation (counted from 1)
    at which the power fails, "torn": how much of that operation is done: nothing (false), the first half ("half" or
    true), or all but some bits here and there ("bits"). "journal": a file to which every operation that was done is
    appended (ENTRY, and the bytes to be programmed). `halt()` never returns."""

    def __init__(self, file, settings, halt):
        self._file = file
        self._erase_ms = settings.get("erase_ms", 0)
        self._program_ms = settings.get("program_ms", 0)
        self._cut_at = settings.get("cut_at", 0)
        self._torn = settings.get("torn", False)
        self._halt = halt
        self._journal = open(settings["journal"], "ab") if settings.get("journal") else None
        self._spent = 0.0
        self.operations = 0
        self._cut = False
        self._page = memoryview(bytearray(PAGE))
        self._blank = b"\xff" * PAGE

    def read(self, at, buf):
        """Fill `buf` from byte `at`."""
        self._file.seek(at)
        self._file.readinto(buf)

    def erase(self, at, size):
        """Erase whole sectors."""
        if at % SECTOR or size % SECTOR:
            raise ValueError("erase is not of whole sectors")
        for sector in range(at, at + size, SECTOR):
            self._begin()
            for page in range(sector, sector + self._done(SECTOR), PAGE):
                if self._cut and self._torn == "bits":
                    self._put(page, self._old(page, PAGE) | self._here_and_there(page))
                else:
                    self._file.seek(page)
                    self._file.write(self._blank)
            self._note(ERASE, sector, SECTOR)
            self._end(self._erase_ms)

    def program(self, at, data):
        """Clear bits; a bit that is 0 stays 0 until it is erased."""
        data = memoryview(data)
        for start in range(0, len(data), SECTOR):
            self._program(at + start, data[start : start + SECTOR])

    def _program(self, at, data):
        self._begin()
        whole = data
        data = data[: self._done(len(data))]
        for start in range(0, len(data), PAGE):
            page = data[start : start + PAGE]
            new = int.from_bytes(page, "big")
            old = self._old(at + start, len(page))
            if new & ~old:
                print("flash: bits at 0x%x are to be set without an erase" % (at + start))
            if self._cut and self._torn == "bits":
                new |= ~self._here_and_there(at + start)
            self._put(at + start, old & new, len(page))
        self._note(PROGRAM, at, len(whole), whole)
        self._end(self._program_ms * len(data) / SECTOR)

    def _old(self, at, size):
        view = self._page[:size]
        self.read(at, view)
        return int.from_bytes(view, "big")

    def _put(self, at, value, size=PAGE):
        self._file.seek(at)
        self._file.write(value.to_bytes(size, "big"))

    def _note(self, kind, at, size, data=b""):
        if self._journal and not self._cut:
            self._journal.write(struct.pack(ENTRY, kind, at, size))
            self._journal.write(data)
            self._journal.flush()

    def _begin(self):
        self.operations += 1
        self._cut = self.operations == self._cut_at
        if self._cut and not self._torn:
            self._halt("cut")

    def _done(self, size):
        """How much of an operation on `size` bytes is done."""
        return size // 2 if self._cut and self._torn != "bits" else size

    def _here_and_there(self, at):
        """A page of bits of which one in 16 is 0; the same for the same place."""
        value = 0
        seed = at // PAGE + 1
        for _ in range(PAGE // 2):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            value = value << 16 | 0xFFFF ^ 1 << (seed >> 12 & 15)
        return value

    def _end(self, ms):
        if self._cut:
            self._halt("cut")
        self._spent += ms
        if self._spent >= 1:  # the interpreter stands still, and the network with it
            time.sleep_ms(int(self._spent))
            self._spent -= int(self._spent)
