"""Slots over the simulated chip's own flash, bootloader and partitions."""

import io
import struct
import sys

import cbor
from check import raises
from swupdate import arming
from swupdate.faults import Fault
from swupdate.install.first import pack_label
from swupdate.slots import Slots

from board.sim import bootloader

sys.modules["bootloader"] = bootloader  # the chip's modules stand beside each other, in no package
from board.sim import esp32  # noqa: E402
from board.sim.bootloader import ABORTED, NEW, PENDING, UNDEFINED, VALID  # noqa: E402
from board.sim.flash import Flash  # noqa: E402

ROWS = (
    (1, 0, 0xD000, 0x2000, "otadata"),
    (0, 16, 0x10000, 0x2000, "ota_0"),
    (0, 17, 0x20000, 0x2000, "ota_1"),
    (1, 64, 0x30000, 0x3000, "app_0"),
    (1, 65, 0x34000, 0x3000, "app_1"),
)
LABEL = {"v": 1, "seq": 7, "version": "1.2.3", "manifest": bytes(32), "built": 1_700_000_000}
LABEL["fw"] = [5000, b"f" * 32]
LABEL["app"] = [6000, b"a" * 32]


class Chip:
    """What the peripherals share, and the power."""

    def __init__(self, running="ota_0"):
        self.flash = Flash(io.BytesIO(b"\xff" * 0x38000), {}, None)
        for i in range(len(ROWS)):
            kind, subtype, at, size, label = ROWS[i]
            row = struct.pack("<2sBBLL16sL", b"\xaa\x50", kind, subtype, at, size, label.encode(), 0)
            self.flash.program(0x8000 + 32 * i, row)
        self.table = bootloader.partitions(self.flash)
        assert self.table == list(ROWS)
        self.otadata = bootloader.OtaData(self.flash, self.table)
        self.running = self.row(running)
        esp32._chip = self

    def row(self, label):
        return [row for row in ROWS if row[4] == label][0]

    def fill(self, slot, label=LABEL):
        """Put an image (without segments), an app and a label."""
        image = bytearray(b"\xe9" + bytes(23 + 7) + b"\xef")
        self.flash.program(self.row(slot)[2], image)
        app = self.row("app" + slot[3:])
        self.flash.program(app[2], b"\xd2\xcd\x31\x00")
        if label is not None:
            data = label if isinstance(label, bytes) else cbor.dumps(label)
            self.flash.program(app[2] + 0x2000, data)

    def start(self):
        """Power on: what the bootloader makes of it."""
        self.running = bootloader.choose(self.flash, print)
        return Slots(Board())


class Board:
    """What Slots needs of a board (the contract)."""

    def partition(self, label):
        return esp32.Partition(label)

    def running(self):
        return esp32.Partition(esp32.Partition.RUNNING).info()[4]


def test_running_and_other():
    Chip("ota_0")
    assert (Slots(Board()).running, Slots(Board()).other) == ("ota_0", "ota_1")
    Chip("ota_1")
    assert (Slots(Board()).running, Slots(Board()).other) == ("ota_1", "ota_0")


def test_states_as_otadata_has_them():
    chip = Chip()
    slots = Slots(Board())
    assert slots.state("ota_0") is None and slots.state("ota_1") is None and slots.confirmed
    for state in (NEW, PENDING, VALID, ABORTED, UNDEFINED):
        chip.otadata.write(0, 1, state)
        assert slots.state("ota_0") == state and slots.state("ota_1") is None
        assert Slots(Board()).confirmed is (state not in (NEW, PENDING))
    chip.otadata.write(1, 2, PENDING)
    assert slots.state("ota_1") == PENDING and slots.confirmed
    chip.otadata.write(1, 3, NEW)
    assert slots.state("ota_0") == NEW and slots.state("ota_1") is None, "of two entries the later one counts"
    chip.otadata.write(0, 5, VALID)
    assert slots.state("ota_0") == VALID


def test_a_confirmation_that_the_flash_lost_is_none():
    """The SDK erases the entry and then writes it: when that fails, the other slot is what starts next."""
    chip = Chip("ota_1")
    chip.fill("ota_0")
    chip.fill("ota_1")
    chip.otadata.write(0, 1, VALID)
    chip.otadata.write(1, 2, PENDING)
    for what, times in (("program", 2), ("erase", 1), ("silent", 3)):
        slots = Slots(Board())
        chip.otadata.write(1, 2, PENDING)
        chip.flash.bad = [[0xE000, 4096, what, 1, times]]
        for _ in range(9):
            try:
                arming.confirm(slots)
                break
            except OSError:
                assert not slots.confirmed
        assert slots.confirmed and slots.state("ota_1") == VALID and chip.flash.bad[0][4] == 0
        assert Slots(Board()).confirmed and bootloader.choose(chip.flash, print)[4] == "ota_1"
    chip.otadata.write(1, 2, PENDING)
    slots = Slots(Board())
    chip.flash.bad = [[0xE000, 4096, "program", 1, -1]]
    for _ in range(3):
        with raises(OSError):
            arming.confirm(slots)
        assert not slots.confirmed


def test_what_is_confirmed_is_read_once_until_something_is_armed():
    chip = Chip()
    chip.fill("ota_0")
    chip.fill("ota_1")
    slots = Slots(Board())
    asked, state = [], slots.state
    slots.state = lambda slot: asked.append(slot) or state(slot)
    assert slots.confirmed and slots.confirmed and len(asked) == 2
    arming.arm(slots)
    assert not slots.confirmed, "only the other one has an entry: it is started next"
    slots = chip.start()
    assert not slots.confirmed and slots.state("ota_1") == PENDING
    arming.confirm(slots)
    assert slots.confirmed


def test_entries_that_are_damaged_say_nothing():
    chip = Chip()
    slots = Slots(Board())
    chip.otadata.write(0, 1, VALID, 0x12345678)
    assert slots.state("ota_0") is None
    chip.otadata.write(0, 0xFFFFFFFF, VALID)
    assert slots.state("ota_0") is None
    chip.otadata.write(0, 0xFFFFFFFE, VALID)
    assert slots.state("ota_1") == VALID


def write(slots, label, sector):
    pack_label(label, sector)
    slots.partition(slots.other, "app").writeblocks(2, sector)


def test_label_written_and_read():
    Chip()
    slots = Slots(Board())
    assert slots.label("ota_1") is None
    sector = bytearray(4096)
    write(slots, LABEL, sector)
    assert slots.label("ota_1") == LABEL and slots.label("ota_0") is None
    assert bytes(sector[-3000:]) == b"\xff" * 3000
    label = dict(LABEL)
    label["version"] = "2"
    write(slots, label, sector)
    assert slots.label("ota_1")["version"] == "2"


def test_label_that_is_too_long():
    Chip()
    slots = Slots(Board())
    with raises(Fault) as caught:
        pack_label({"v": 1, "version": "x" * 300}, bytearray(4096))
    assert caught.value.cause == "invalid"
    assert slots.label("ota_1") is None


def test_label_of_a_later_format_is_read():
    chip = Chip()
    label = dict(LABEL)
    label["v"] = 2
    label["more"] = "what we do not know"
    chip.fill("ota_0", label)
    assert Slots(Board()).label("ota_0")["more"]


def test_labels_that_make_no_sense():
    slots_of = []
    for change in (
        {"v": 0},
        {"v": "1"},
        {"seq": -1},
        {"seq": None},
        {"version": 3},
        {"version": b"1"},
        {"manifest": bytes(31)},
        {"manifest": 32},
        {"manifest": "x" * 32},  # one bit of its head changed
        {"fw": [5000, "f" * 32]},
        {"built": "today"},
        {"fw": None},
        {"fw": [5000]},
        {"fw": [0, bytes(32)]},
        {"fw": [-1, bytes(32)]},
        {"app": ["5", bytes(32)]},
        {"app": [5, bytes(31)]},
        {"app": [5, bytes(32), 1]},
    ):
        label = dict(LABEL)
        label.update(change)
        slots_of.append(label)
    for name in LABEL:
        label = dict(LABEL)
        del label[name]
        slots_of.append(label)
    slots_of += [
        [],
        5,
        "text",
        b"",
        b"\x00" * 256,
        b"\xa1",
        b"\xbf\x61v\x01\xff",
        bytes(range(256)),
        cbor.dumps(LABEL)[:-40],
    ]
    for label in slots_of:
        chip = Chip()
        chip.fill("ota_1", label)
        slots = Slots(Board())
        assert slots.label("ota_1") is None, label
        assert not arming.valid(slots, "ota_1")


def test_valid_needs_all_three():
    chip = Chip()
    slots = Slots(Board())
    assert not arming.valid(slots, "ota_1")
    chip.fill("ota_1")
    assert arming.valid(slots, "ota_1") and not arming.valid(slots, "ota_0")
    for at in (0x20000, 0x34000, 0x36000):
        chip = Chip()
        chip.fill("ota_1")
        chip.flash.erase(at, 4096)
        assert not arming.valid(Slots(Board()), "ota_1"), hex(at)


def test_partitions_and_sizes():
    Chip()
    slots = Slots(Board())
    assert slots.partition("ota_1", "fw").info()[4] == "ota_1"
    assert slots.partition("ota_1", "app").info()[4] == "app_1"
    assert slots.partition("ota_0", "app").info()[4] == "app_0"
    assert slots.size("fw") == 0x2000
    assert slots.size("app") == 0x2000, "the label takes the last sector"


def test_arm_try_and_keep():
    chip = Chip()
    chip.fill("ota_0")
    chip.fill("ota_1")
    slots = chip.start()
    assert slots.running == "ota_0" and slots.confirmed and slots.state("ota_0") == VALID
    arming.arm(slots)
    assert slots.state("ota_1") == NEW and slots.confirmed
    slots = chip.start()
    assert slots.running == "ota_1" and slots.state("ota_1") == PENDING and not slots.confirmed
    arming.confirm(slots)
    assert slots.state("ota_1") == VALID and slots.confirmed
    assert chip.start().running == "ota_1"


def test_arm_try_and_fall_back():
    chip = Chip()
    chip.fill("ota_0")
    chip.fill("ota_1")
    arming.arm(chip.start())
    assert chip.start().running == "ota_1"
    slots = chip.start()
    assert slots.running == "ota_0" and slots.confirmed and slots.state("ota_1") == ABORTED
    arming.arm(slots)
    assert chip.start().running == "ota_1", "it can be tried again"


def test_roll_back_from_a_version_that_was_kept():
    chip = Chip()
    chip.fill("ota_0")
    chip.fill("ota_1")
    arming.arm(chip.start())
    slots = chip.start()
    arming.confirm(slots)
    arming.arm(slots)
    slots = chip.start()
    assert slots.running == "ota_0" and not slots.confirmed
    arming.confirm(slots)
    assert chip.start().running == "ota_0"


def test_arming_what_is_no_image_is_refused_in_words():
    chip = Chip()
    chip.fill("ota_0")
    slots = chip.start()
    for _ in range(2):
        before = chip.otadata.entries()
        with raises(Fault, "ota_1 could not be armed: ESP_ERR_OTA_VALIDATE_FAILED") as caught:
            arming.arm(slots)
        assert caught.value.cause == "install" and caught.value.result() == 8
        assert chip.otadata.entries() == before
        chip.flash.program(0x20000, b"\xe9\x01half an image")


def test_confirm_does_not_keep_what_does_not_run():
    chip = Chip()
    chip.fill("ota_0")
    chip.fill("ota_1")
    slots = chip.start()
    arming.arm(slots)
    arming.confirm(slots)  # what runs is kept already; the armed one has yet to be tried
    assert slots.state("ota_1") == NEW
    chip.flash.erase(0x20000, 4096)  # and now it can no longer be started
    slots = chip.start()
    assert slots.running == "ota_0" and slots.state("ota_1") == PENDING and slots.confirmed
    arming.confirm(slots)
    assert slots.state("ota_1") == PENDING
