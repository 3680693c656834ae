"""The NOR flash of the simulated chip, in a file: it behaves, takes its time, and can lose power in the middle."""

import time

SECTOR = 4096
PAGE = 256


class Flash:
    """`settings`: "erase_ms" of a sector and "program_ms" of 4 KB, which block; "cut_at": the operation (counted from 1)
    at which the power fails, "torn": half of that operation is done. `halt()` never returns."""

    def __init__(self, file, settings, halt):
        self._file = file
        self._erase_ms = settings.get("erase_ms", 0)
        self._program_ms = settings.get("program_ms", 0)
        self._cut_at = settings.get("cut_at", 0)
        self._torn = settings.get("torn", False)
        self._halt = halt
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
            self._file.seek(sector)
            for _ in range(0, self._done(SECTOR), PAGE):
                self._file.write(self._blank)
            self._end(self._erase_ms)

    def program(self, at, data):
        """Clear bits; a bit that is 0 stays 0 until it is erased."""
        self._begin()
        data = memoryview(data)
        for start in range(0, self._done(len(data)), PAGE):
            page = data[start : min(start + PAGE, self._done(len(data)))]
            old = self._page[: len(page)]
            self.read(at + start, old)
            both = int.from_bytes(old, "big") & int.from_bytes(page, "big")
            self._file.seek(at + start)
            self._file.write(both.to_bytes(len(page), "big"))
        self._end(self._program_ms * len(data) / SECTOR)

    def _begin(self):
        self.operations += 1
        self._cut = self.operations == self._cut_at
        if self._cut and not self._torn:
            self._halt("cut")

    def _done(self, size):
        """How much of an operation on `size` bytes is done."""
        return size // 2 if self._cut else size

    def _end(self, ms):
        if self._cut:
            self._halt("cut")
        self._spent += ms
        if self._spent >= 1:  # the interpreter stands still, and the network with it
            time.sleep_ms(int(self._spent))
            self._spent -= int(self._spent)
