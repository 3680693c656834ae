"""The NOR flash of the simulated chip, in a file: it behaves, takes its time, and can lose power in the middle."""

import time

SECTOR = 4096


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

    def read(self, at, buf):
        """Fill `buf` from byte `at`."""
        self._file.seek(at)
        self._file.readinto(buf)

    def erase(self, at, size):
        """Erase whole sectors."""
        if at % SECTOR or size % SECTOR:
            raise ValueError("erase is not of whole sectors")
        for sector in range(at, at + size, SECTOR):
            self._operation(sector, b"\xff" * SECTOR, self._erase_ms)

    def program(self, at, data):
        """Clear bits; a bit that is 0 stays 0 until it is erased."""
        old = bytearray(len(data))
        self.read(at, old)
        both = int.from_bytes(old, "big") & int.from_bytes(data, "big")
        self._operation(at, both.to_bytes(len(data), "big"), self._program_ms * len(data) / SECTOR)

    def _operation(self, at, data, ms):
        self.operations += 1
        cut = self.operations == self._cut_at
        if cut and self._torn:
            data = memoryview(data)[: len(data) // 2]
        if not cut or self._torn:
            self._file.seek(at)
            self._file.write(data)
        if cut:
            self._halt("cut")
        self._spent += ms
        if self._spent >= 1:  # the interpreter stands still, and the network with it
            time.sleep_ms(int(self._spent))
            self._spent -= int(self._spent)
