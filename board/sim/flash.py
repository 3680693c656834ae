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
    appended (ENTRY, and the bytes to be programmed). `halt()` never returns.

    "bad": a list of [offset, size, what, rate, times]: operations "erase", "program" or "read" that touch these bytes fail
    with OSError, as the SDK's do; "silent": erasing and programming there leave bits as they were, and say nothing. `rate`
    (1 unless given) is how probable that is, drawn from "seed"; `times` (-1: no limit), how often it happens after a start.
    """

    def __init__(self, file, settings, halt):
        self._file = file
        self._erase_ms = settings.get("erase_ms", 0)
        self._program_ms = settings.get("program_ms", 0)
        self._cut_at = settings.get("cut_at", 0)
        self._torn = settings.get("torn", False)
        self._halt = halt
        self.bad = [entry + [1, -1][len(entry) - 3 :] for entry in settings.get("bad", ())]
        self._seed = settings.get("seed", 1)
        self._journal = open(settings["journal"], "ab") if settings.get("journal") else None
        self._spent = 0.0
        self.operations = 0
        self._cut = False
        self._page = memoryview(bytearray(PAGE))
        self._blank = b"\xff" * PAGE

    def read(self, at, buf):
        """Fill `buf` from byte `at`. Raises OSError."""
        self._fail("read", at, len(buf))
        self._get(at, buf)

    def _get(self, at, buf):
        self._file.seek(at)
        self._file.readinto(buf)

    def erase(self, at, size):
        """Erase whole sectors. Raises OSError."""
        if at % SECTOR or size % SECTOR:
            raise ValueError("erase is not of whole sectors")
        for sector in range(at, at + size, SECTOR):
            self._begin()
            self._fail("erase", sector, SECTOR)
            stuck = self._is_bad("silent", sector, SECTOR) or self._cut and self._torn == "bits"
            for page in range(sector, sector + self._done(SECTOR), PAGE):
                if stuck:
                    self._put(page, self._old(page, PAGE) | self._here_and_there(page))
                else:
                    self._file.seek(page)
                    self._file.write(self._blank)
            self._note(ERASE, sector, SECTOR)
            self._end(self._erase_ms)

    def program(self, at, data):
        """Clear bits; a bit that is 0 stays 0 until it is erased. Raises OSError."""
        data = memoryview(data)
        for start in range(0, len(data), SECTOR):
            self._program(at + start, data[start : start + SECTOR])

    def _program(self, at, data):
        self._begin()
        self._fail("program", at, len(data))
        stuck = self._is_bad("silent", at, len(data)) or self._cut and self._torn == "bits"
        whole = data
        data = data[: self._done(len(data))]
        for start in range(0, len(data), PAGE):
            page = data[start : start + PAGE]
            view = self._page[: len(page)]
            self._get(at + start, view)
            if view == self._blank[: len(page)] and not stuck:  # as it should be
                self._file.seek(at + start)
                self._file.write(page)
                continue
            new = int.from_bytes(page, "big")
            old = int.from_bytes(view, "big")
            if new & ~old:
                print("flash: bits at 0x%x are to be set without an erase" % (at + start))
            if stuck:
                new |= ~self._here_and_there(at + start)
            self._put(at + start, old & new, len(page))
        self._note(PROGRAM, at, len(whole), whole)
        self._end(self._program_ms * len(data) / SECTOR)

    def _old(self, at, size):
        view = self._page[:size]
        self._get(at, view)
        return int.from_bytes(view, "big")

    def _put(self, at, value, size=PAGE):
        self._file.seek(at)
        self._file.write(value.to_bytes(size, "big"))

    def _fail(self, what, at, size):
        if self._is_bad(what, at, size):
            raise OSError(-0x6001, "ESP_ERR_FLASH_OP_FAIL")

    def _is_bad(self, what, at, size):
        """Whether this operation fails; it counts as one of the `times` then."""
        for entry in self.bad:
            if entry[2] == what and entry[0] < at + size and at < entry[0] + entry[1]:
                self._seed = (self._seed * 1103515245 + 12345) & 0x7FFFFFFF
                if entry[4] and self._seed < entry[3] * 0x80000000:
                    entry[4] -= 1  # from -1 on without an end
                    return True
        return False

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
