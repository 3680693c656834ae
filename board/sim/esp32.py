"""MicroPython's module `esp32` on the simulated chip: Partition and NVS, with the errors of the real one."""

import gc

import bootloader

_chip = None  # set by rom.py: .flash, .table, .running

_ENOENT = 2
_EINVAL = 22


class Partition:
    """A partition (ports/esp32/esp32_partition.c): `Partition(label | BOOT | RUNNING, block_size=4096)`."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, what, block_size=4096):
        if isinstance(what, tuple):  # an entry of the table: from the methods below
            self._entry = what
        elif isinstance(what, str):
            found = [entry for entry in _chip.table if entry[4] == what]
            if not found:
                raise OSError(_ENOENT)
            self._entry = found[0]
        elif what == Partition.RUNNING:
            self._entry = _chip.running
        elif what == Partition.BOOT:
            otadata = bootloader.OtaData(_chip.flash, _chip.table)
            self._entry = otadata.slots[max(0, bootloader.selected(otadata, False)[0])]
        else:
            raise ValueError
        self._block = block_size

    @classmethod
    def find(cls, type=TYPE_APP, subtype=0xFF, label=None, block_size=4096):
        """All partitions that match."""
        return [
            cls(entry, block_size)
            for entry in _chip.table
            if entry[0] == type and subtype in (0xFF, entry[1]) and label in (None, entry[4])
        ]

    def info(self):
        """(type, subtype, address, size, label, encrypted)."""
        return self._entry + (False,)

    def readblocks(self, block, buf, offset=0):
        """Fill `buf`."""
        _chip.flash.read(self._at(block * self._block + offset, len(buf)), buf)

    def writeblocks(self, block, buf, offset=None):
        """With three arguments nothing is erased before; with two, whole sectors are."""
        if offset is None:
            at = self._erasable(block * self._block, len(buf))
            _chip.flash.erase(at, len(buf))
            _chip.flash.program(at, buf)
        else:
            _chip.flash.program(self._at(block * self._block + offset, len(buf)), buf)

    def ioctl(self, command, argument):
        """1 start, 2 stop, 3 sync, 4 count of blocks, 5 size of a block, 6 erase a block."""
        if command in (1, 2, 3):
            return 0
        if command == 4:
            return self._entry[3] // self._block
        if command == 5:
            return self._block
        if command == 6:
            if self._block != 4096:
                return -_EINVAL
            _chip.flash.erase(self._erasable(argument * 4096, 4096), 4096)
            return 0
        return None

    def _at(self, offset, size):
        if not 0 <= offset <= self._entry[3]:
            raise OSError(-0x102, "ESP_ERR_INVALID_ARG")
        if offset + size > self._entry[3]:
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        return self._entry[2] + offset

    def _erasable(self, offset, size):
        at = self._at(offset, size)
        if offset % 4096:
            raise OSError(-0x102, "ESP_ERR_INVALID_ARG")
        if size % 4096:
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        return at

    def get_next_update(self):
        """The slot after this one."""
        slots = bootloader.OtaData(_chip.flash, _chip.table).slots
        following = slots[slots.index(self._entry) + 1 :] if self._entry in slots else []
        return Partition((following or slots)[0])

    def set_boot(self):
        """Select this slot for the next start; its image is verified first."""
        if bootloader.refused(_chip.flash, self._entry):
            raise OSError(-0x1503, "ESP_ERR_OTA_VALIDATE_FAILED")
        otadata = bootloader.OtaData(_chip.flash, _chip.table)
        if self._entry not in otadata.slots:
            raise OSError(-0x102, "ESP_ERR_INVALID_ARG")
        otadata.select(self._entry)

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """Keep the image that otadata has selected."""
        if not bootloader.OtaData(_chip.flash, _chip.table).keep():
            raise OSError(1, "ESP_FAIL")


HEAP_DATA = 4  # MALLOC_CAP_8BIT


def idf_heap_info(_capabilities):
    """(size, free, largest free piece, least free ever) of each area of ESP-IDF's heap.

    Here it changes only with an interpreter whose heap grows as the chip's does (bench/chipheap.py): its second area takes
    much of it, and the third nearly all.
    """
    areas = gc.areas() if hasattr(gc, "areas") else 1
    spare = (_chip.spare, 35_840, 600)[min(areas, 3) - 1]
    return [(16_384, 200, 100, 100), (113_840, spare, spare, spare)]


class NVS:
    """Non-volatile storage: a log of records in the `nvs` partition, its last value of a key in force.

    Not ESP-IDF's format, but as durable: a record counts when its end is written. `commit` is where it is written.
    """

    def __init__(self, namespace):
        self._namespace = namespace.encode()
        self._partition = Partition("nvs")
        self._pending = {}

    def set_i32(self, key, value):
        """Keep an integer."""
        self._pending[key.encode()] = b"i" + (value & 0xFFFFFFFF).to_bytes(4, "little")

    def get_i32(self, key):
        """An integer that was kept."""
        value = self._load(key, b"i")
        number = int.from_bytes(value, "little")
        return number - (1 << 32) if number >> 31 else number

    def set_blob(self, key, value):
        """Keep bytes, at most 4,000."""
        if len(value) > 4000:
            raise OSError(-0x110E, "ESP_ERR_NVS_VALUE_TOO_LONG")
        self._pending[key.encode()] = b"b" + bytes(value)

    def get_blob(self, key, buf):
        """Bytes that were kept, into `buf`; how many."""
        value = self._load(key, b"b")
        if len(value) > len(buf):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        """Forget."""
        self._load(key, None)
        self._pending[key.encode()] = b""

    def commit(self):
        """Make what was set durable."""
        for key in self._pending:
            self._append(self._namespace, key, self._pending[key])
        self._pending = {}

    def _load(self, key, kind):
        key = key.encode()
        value = self._pending.get(key)
        if value is None:
            value = self._records()[0].get((self._namespace, key), b"")
        if not value or (kind and value[:1] != kind):
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        return value[1:]

    def _records(self):
        """(values by namespace and key, where the next record goes)."""
        size = self._partition.info()[3]
        found = {}
        at = 0
        head = bytearray(5)
        while at + 5 < size:
            self._partition.readblocks(0, head, at)
            if head[0] != 0xA5:
                break
            total = head[1] + head[2] + head[3] + 256 * head[4]
            if at + 5 + total + 1 > size:
                break
            data = bytearray(total + 1)
            self._partition.readblocks(0, data, at + 5)
            if data[total] == 0x5A:
                first, second = head[1], head[1] + head[2]
                found[(bytes(data[:first]), bytes(data[first:second]))] = bytes(data[second:total])
            at += 5 + total + 1
        return found, at

    def _append(self, namespace, key, value):
        found, at = self._records()
        size = len(value)
        record = bytes((0xA5, len(namespace), len(key), size & 0xFF, size >> 8)) + namespace + key + value
        if at + len(record) + 1 > self._partition.info()[3]:
            raise OSError(-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
        self._partition.writeblocks(0, record, at)
        self._partition.writeblocks(0, b"\x5a", at + len(record))
