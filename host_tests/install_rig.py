"""What the tests of the install phase share, on both interpreters: a server of bytes, a flash with NOR's rules, a device.

Nothing here stands in for what is tested: signatures are real, the slots are `swupdate.slots.Slots`, and the release
server answers from its files whatever it is asked for.
"""

from port import sleep_ms
from recipe import KIDS, KIND, PUBLIC, SECTOR, VENDOR, dumps, payload, sha
from swupdate import arming
from swupdate.faults import Fault
from swupdate.slots import Slots

# The server


class Server:
    """Files by name, and what goes wrong with them.

    `lose_after`: bytes of payload and tables after which the connection is lost, once. `log`: (name, offset, length) of
    every request; `sent`: bytes of each file that went out.
    """

    def __init__(self, files):
        self.files = files
        self.generation = 0
        self.lose_after = None
        self.log = []
        self.sent = {}
        self.open = 0
        self.during = None  # called before each piece, with the name
        self.turn = 1000  # bytes that come in a turn of the loop

    def source(self):
        self.open += 1
        return Source(self)

    def find(self, url):
        name = url.rpartition("/")[2]
        if name not in self.files:
            raise Fault("status", "the server answered 404", 404)
        return name


class Source:
    """A Source of the contract, over `server`."""

    def __init__(self, server):
        self._server = server
        self._busy = self._closed = False
        self._name = None
        self._at = self._left = 0

    async def get(self, url, limit, _buf=None):
        name = self._server.find(url)
        data = self._server.files[name]
        self._server.log.append((name, 0, len(data)))
        await sleep_ms(0)
        if len(data) > limit:
            raise Fault("invalid", "more than it may have")
        return bytearray(data)

    async def start(self, url, offset, length, etag=None):
        assert not self._busy and not self._closed
        name = self._server.find(url)
        tag = b'"%d"' % self._server.generation
        if etag not in (None, tag):
            raise Fault("lost", "the server has another file at this address now")
        if offset + length > len(self._server.files[name]):
            raise Fault("lost", "the server has a file of %d bytes only" % len(self._server.files[name]), 416)
        self._server.log.append((name, offset, length))
        await sleep_ms(0)
        self._name, self._at, self._left = name, offset, length
        return tag

    async def readinto(self, view):
        assert not self._busy, "two at once read from one source"
        assert not self._closed, "read after close"
        self._busy = True
        try:
            if self._server.during:
                self._server.during(self._name)
            size = self._server.turn
            for at in range(0, len(view), size):
                await sleep_ms(0)
                part = memoryview(view)[at : min(at + size, len(view))]
                self._deliver(part)
        finally:
            self._busy = False

    def _deliver(self, part):
        server = self._server
        size = len(part)
        assert size <= self._left, "more was read than asked for"
        if server.lose_after is not None:
            server.lose_after -= size
            if server.lose_after < 0:
                server.lose_after = None
                raise Fault("lost", "the connection was lost")
        part[:] = server.files[self._name][self._at : self._at + size]
        self._at += size
        self._left -= size
        server.sent[self._name] = server.sent.get(self._name, 0) + size

    def rest(self):
        assert not self._busy and not self._left, "rests in the middle of a range"

    async def close(self):
        assert not self._busy, "closed while it is read from"
        assert not self._closed
        self._closed = True
        self._server.open -= 1


# The flash


class Flash:
    """Partitions in RAM. `log`: every operation as (label, sector, bytes or None for an erase), in order.

    `fail_at`: the operation (counted from 0) that is done by half and ends with an error, once; `read`: bytes that were
    read; `weak`: (label, sector), a sector that does not
    take a bit; `refuses`: (label, sector), one where every operation fails.
    """

    def __init__(self, sizes):
        self.data = {}
        for label in sizes:
            self.data[label] = bytearray(b"\xff" * sizes[label])
        self.log = []
        self.fail_at = None
        self.weak = self.refuses = None
        self.read = 0

    def operate(self, label, sector, data, at):
        if self.fail_at == len(self.log) or self.refuses == (label, sector):
            self.fail_at = None
            apply(self.data[label], sector, data, at, True)
            raise OSError(-0x6001, "ESP_ERR_FLASH_OP_FAIL")
        self.log.append((label, sector, None if data is None else bytes(data), at))
        apply(self.data[label], sector, data, at)
        if self.weak == (label, sector) and data is not None:
            self.data[label][sector * SECTOR + 100] ^= 1


def apply(image, sector, data, at=0, torn=False):
    """One operation on a partition's bytes: erase a sector, or clear bits from its byte `at` on; `torn`: half of it."""
    begin = sector * SECTOR + at
    size = SECTOR if data is None else len(data)
    if torn:
        size //= 2
    if data is None:
        image[begin : begin + size] = b"\xff" * size
    else:
        for i in range(size):
            image[begin + i] &= data[i]


class Partition:
    """esp32.Partition with a block size of 4096."""

    def __init__(self, flash, label):
        self._flash, self._label = flash, label
        self._data = flash.data[label]

    def readblocks(self, block, buf, offset=0):
        at = block * SECTOR + offset
        if at + len(buf) > len(self._data):
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        buf[:] = memoryview(self._data)[at : at + len(buf)]
        self._flash.read += len(buf)

    def writeblocks(self, block, buf, offset=None):
        if block * SECTOR + (offset or 0) + len(buf) > len(self._data) or (offset is None and len(buf) % SECTOR):
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        if offset is None:
            for i in range(len(buf) // SECTOR):
                self._flash.operate(self._label, block + i, None, 0)
        self._flash.operate(self._label, block, buf, offset or 0)

    def ioctl(self, command, argument):
        if command == 4:
            return len(self._data) // SECTOR
        if command == 5:
            return SECTOR
        if command == 6:
            self._flash.operate(self._label, argument, None, 0)
            return 0
        return None


class Board:
    """What Slots needs of a board."""

    def __init__(self, flash):
        self.flash = flash

    def partition(self, label):
        return Partition(self.flash, label)

    def running(self):
        return "ota_0"


# All together


class Store:
    """Files in a dict, and records; `broken` raises on every write."""

    def __init__(self):
        self.files = {}
        self.broken = False
        self.opened = []  # names

    def open(self, name, mode):
        if "w" in mode:
            for file in self.opened:
                assert file != name, "written while it is open"
            return _File(self, name, bytearray())
        if name not in self.files:
            raise OSError(2)
        return _File(self, name, self.files[name])

    def remove(self, name):
        self.files.pop(name, None)

    def load(self, name):
        return self.files.get(name)

    def save(self, name, data):
        if self.broken:
            raise OSError(28)
        self.files[name] = bytes(data)


class _File:
    def __init__(self, store, name, data):
        self._store, self._name, self._data = store, name, data
        self._at = 0
        store.opened.append(name)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def write(self, data):
        if self._store.broken:
            raise OSError(28)
        self._data.extend(data)
        self._store.files[self._name] = bytes(self._data)
        return len(data)

    def readinto(self, buf):
        part = self._data[self._at : self._at + len(buf)]
        buf[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, at):
        self._at = at

    def close(self):
        if self._store:
            self._store.opened.remove(self._name)
            self._store = None


class Trust:
    """Whom the device believes."""

    def __init__(self):
        self.threshold = 1
        self.number, self.digest = 0, b""
        self.since, self.floor, self.revoked = 0, 0, []
        self.vendor_id, self.class_id = VENDOR, KIND
        self.known = {}
        for i in range(3):
            self.known[KIDS[i]] = PUBLIC[i]

    def keys(self):
        return self.known


class Clock:
    time = floor = 0

    def now(self):
        return self.time


class Limits:
    jump = 1000


FW_SIZE, APP_SIZE = 5 * SECTOR, 6 * SECTOR  # of the partitions


class Rig:
    """A device that runs 1.0.0 (sequence number 1) out of slot 0, and a server with one release."""

    def __init__(self, recipe=None, fw=None, app=None, app_size=APP_SIZE):
        self.app_size = app_size
        self.fw = fw or payload("fw", 3 * SECTOR + 100, 1)
        self.app = app or payload("app", 2 * SECTOR + 200, 1)
        self.flash = Flash(
            {"otadata": 2 * SECTOR, "ota_0": FW_SIZE, "ota_1": FW_SIZE, "app_0": app_size, "app_1": app_size}
        )
        self.running = {
            "v": 1, "seq": 1, "version": "1.0.0", "manifest": b"m" * 32, "built": 1_600_000_000,
            "fw": [len(self.fw), sha(self.fw)], "app": [len(self.app), sha(self.app)],
        }  # fmt: skip
        self.fill("ota_0", "app_0", self.fw, self.app, self.running)
        self.trust, self.store, self.clock, self.limits = Trust(), Store(), Clock(), Limits()
        self.slots = Slots(Board(self.flash))
        self.floor = 1
        self.told = []
        self.buffers = bytearray(SECTOR), bytearray(1792)
        self.url = "https://example.test/r/new.suit"
        self.server = Server({})
        if recipe:
            self.offer(recipe)

    def offer(self, recipe, *secrets):
        """Put a release on the server."""
        self.server.files.update(recipe.files())
        self.server.files["new.suit"] = recipe.envelope(*secrets)
        return self

    def fill(self, ota, app, firmware, romfs, label):
        data = self.flash.data
        data[ota][: len(firmware)] = firmware
        data[app][: len(romfs)] = romfs
        packed = dumps(label)
        label = self.app_size - SECTOR
        data[app][label : label + len(packed)] = packed

    # What the phase sees as `job`

    def open(self, url):
        assert url == self.url
        return self.server.source()

    # What tests ask

    def progress(self, done, total):
        self.told.append((done, total))

    def fetched(self, suffix):
        """Bytes of all files whose names end so that went out."""
        return sum([self.server.sent[name] for name in self.server.sent if name.endswith(suffix)])

    def holds(self, firmware, romfs):
        """Whether the other slot is whole and holds just that."""
        data = self.flash.data
        return (
            arming.valid(self.slots, "ota_1")
            and bytes(data["ota_1"][: len(firmware)]) == firmware
            and bytes(data["app_1"][: len(romfs)]) == romfs
        )

    def untouched(self):
        """Whether the running slot is as it was."""
        return not [entry for entry in self.flash.log if entry[0] in ("ota_0", "app_0", "otadata")]
