"""Flashing a board, cut at every erased and every programmed sector: what then runs, on the bootloader's rules.

Here the chip is in memory, and every cut of it is looked at; that the command `esptool` is called so is proved in
test_board_commands.py, with a stand-in for it.
"""

import hashlib
import itertools

import cbor
import pytest
from esp_idf_defs.otadata import OtaDataSelectEntry
from esp_idf_defs.partitions import InputError, PartitionTable
from fargo import board_image, flash, flasher, image, official

from board.sim import bootloader

SECTOR = 4096
NEW, PENDING, VALID, INVALID, ABORTED = range(5)


def pair(version, seq):
    firmware = image.build_image(version, size=9000)
    app = (b"\xd2\xcd\x31\x00" + version.encode()) * 700
    halves = {"fw": firmware, "app": app}
    label = {half: [len(data), hashlib.sha256(data).digest()] for half, data in halves.items()}
    label |= {"v": 1, "seq": seq, "version": version, "manifest": bytes(32), "built": 1}
    return firmware, app, cbor.dumps(label).ljust(SECTOR, b"\xff")


def board(path, version, seq, slot=0):
    """The image of a whole small flash with this version."""
    code = official.split(
        image.build_official("MicroPython v1.26.0 on 2025-08-09", size=9000, table=table()), ""
    ).bootloader
    flash.build_flash(
        path, "small", *pair(version, seq), {"v": 1}, slot=slot, wifi=None, bootloader=(0x1000, code[:8000])
    )
    return path.read_bytes()


def table():
    return flash.table("small").to_binary()


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """What is to be flashed: version 2."""
    path = tmp_path_factory.mktemp("new") / "image"
    made = board(path, "2", 2)
    at = {name: (row.offset, row.size) for name, row in flash.names(flash.table("small")).items()}
    return board_image.Image(made, "esp32", "small", at, "2", 2)


class Chip:
    """A flash in memory, as the bootloader and the flasher see it; `each` is called before and amid every operation."""

    def __init__(self, data, each=lambda: None):
        self.data = bytearray(data)
        self.each = each
        self.restarts = 0

    def read(self, at, what):
        if isinstance(what, int):
            return bytes(self.data[at : at + what])
        what[:] = self.data[at : at + len(what)]
        return None

    def erase(self, at, size):
        assert at % SECTOR == size % SECTOR == 0
        for sector in range(at, at + size, SECTOR):
            self._operation(sector, b"\xff" * SECTOR)

    def write(self, parts, progress):
        for at, data in sorted(parts):
            assert at % SECTOR == len(data) % SECTOR == 0
            for start in range(0, len(data), SECTOR):
                self._operation(at + start, b"\xff" * SECTOR)
                self._operation(at + start, data[start : start + SECTOR])

    def restart(self):
        self.restarts += 1

    def _operation(self, at, data):
        self.each()
        self.data[at : at + SECTOR // 2] = data[: SECTOR // 2]
        self.each()
        self.data[at : at + SECTOR] = data


class Copy(Chip):
    """What the bootloader sees and, at its start, changes."""

    def program(self, at, data):
        self.data[at : at + len(data)] = data

    def erase(self, at, size):
        self.data[at : at + size] = b"\xff" * size


def starts(data):
    """(slot, version) that a chip with this flash runs; None when nothing starts. A pair that is none fails the test."""
    try:
        if not PartitionTable.from_binary(bytes(data[0x8000:0x8C00])):
            return None
    except InputError:  # its MD5 is wrong: the bootloader stops there
        return None
    chosen = bootloader.choose(Copy(data), lambda text: None)
    if chosen is None:
        return None
    number = chosen[4][4:]
    rows = {row.name: row for row in PartitionTable.from_binary(bytes(data[0x8000:0x8C00]))}
    app = rows["app_" + number]
    sector = bytes(data[app.offset + app.size - SECTOR : app.offset + app.size])
    label = board_image.read_label(sector)
    assert label, "the slot that starts has no label"
    for row, (size, digest) in ((rows[chosen[4]], label["fw"]), (app, label["app"])):
        assert hashlib.sha256(data[row.offset : row.offset + size]).digest() == digest, "a pair of two versions"
    return chosen[4], label["version"]


def entry(seq, state):
    return OtaDataSelectEntry(seq, state).to_bytes().ljust(SECTOR, b"\xff")


def with_otadata(data, new, sectors):
    at = new.at["otadata"][0]
    return data[:at] + b"".join(sectors) + data[at + 2 * SECTOR :]


def cuts(before, plan):
    """What starts after a cut at each of a plan's operations, as a list; the flash afterwards."""
    seen = []
    chip = Chip(before)
    chip.each = lambda: seen.append(starts(chip.data))
    flasher.carry_out(plan, chip, lambda done: None)
    return seen, bytes(chip.data)


BLANK = b"\xff" * SECTOR


def test_fresh_on_a_board_of_ours(tmp_path, new):
    """From the first to the last moment nothing starts; then the new version does, and all that was there is gone."""
    old = bytearray(board(tmp_path / "old", "1", 1, slot=1))
    old = bytearray(with_otadata(bytes(old), new, [BLANK, entry(2, VALID)]))
    for name in ("nvs", "data"):
        start, size = new.at[name]
        old[start : start + size] = b"secret.." * (size // 8)
    assert starts(old) == ("ota_1", "1")
    seen, after = cuts(bytes(old), flasher.fresh(new))
    kinds = [kind for kind, _ in itertools.groupby(seen)]
    assert kinds in ([("ota_1", "1"), None], [("ota_1", "1"), None, ("ota_0", "2")])
    assert starts(after) == ("ota_0", "2")
    for name, (start, size) in new.at.items():
        assert after[start : start + size] == new.part(name), name
    assert b"secret" not in after
    assert after[0x1000:0x9000] == new.data[0x1000:0x9000]


def test_fresh_on_whatever_was_there(new):
    for before in (b"\xff" * len(new.data), b"\0" * len(new.data), bytes(range(256)) * (len(new.data) // 256)):
        seen, after = cuts(before, flasher.fresh(new))
        assert set(seen[:-1]) <= {None}
        assert starts(after) == ("ota_0", "2")


OLD0, OLD1 = ("ota_0", "1"), ("ota_1", "1")


@pytest.mark.parametrize(
    "slot, sectors, where, runs",
    [
        (0, [BLANK, BLANK], "ota_1", OLD0),  # as a flashing tool left it
        (0, [entry(1, VALID), BLANK], "ota_1", OLD0),  # after its first start
        (1, [BLANK, entry(2, VALID)], "ota_0", OLD1),
        (1, [entry(1, VALID), entry(2, VALID)], "ota_0", OLD1),
        (0, [entry(3, VALID), entry(2, VALID)], "ota_1", OLD0),
        (0, [entry(3, 0xFFFFFFFF), entry(2, VALID)], "ota_1", OLD0),
        (0, [entry(3, VALID), entry(4, ABORTED)], "ota_1", OLD0),  # ota_1 was tried in vain
        (1, [entry(5, INVALID), entry(4, VALID)], "ota_0", OLD1),
        (0, [entry(3, VALID), entry(4, NEW)], "ota_1", OLD0),  # ota_1 is armed, or on trial: not confirmed
        (0, [entry(3, VALID), entry(4, PENDING)], "ota_1", OLD0),
        (0, [b"\0" * SECTOR, b"\0" * SECTOR], "ota_1", OLD0),  # otadata is lost
        (1, [b"\0" * SECTOR, b"\0" * SECTOR], "ota_0", OLD1),
        (1, [entry(1, VALID), BLANK], "ota_0", OLD1),  # ota_0 is selected, and lost
    ],
)
def test_keep_cut_anywhere(tmp_path, new, slot, sectors, where, runs):
    """The version that ran runs until the new one does: never none, never a mixture, and all else is as it was."""
    old = bytearray(with_otadata(board(tmp_path / "old", "1", 1, slot=slot), new, sectors))
    for name in ("nvs", "data"):
        start, size = new.at[name]
        old[start : start + size] = b"treasure" * (size // 8)
    plan = flasher.keep(new, Chip(old).read)
    assert plan.slot == where and "version 1" in plan.words and where in plan.words
    seen, after = cuts(bytes(old), plan)
    kinds = [kind for kind, _ in itertools.groupby(seen)]
    if sectors[1] == entry(4, NEW):  # the slot is armed: it may be started before otadata says that it is confirmed
        assert set(kinds) == {runs, (where, "2")}
    else:
        assert kinds in ([runs], [runs, (where, "2")])
    assert starts(after) == (where, "2")
    for name, (start, size) in new.at.items():
        if name not in (where, "app" + where[3:], "otadata"):
            assert after[start : start + size] == old[start : start + size], name
    assert after[:0x9000] == old[:0x9000]
    # The next start, and the next: it stays.
    copy = Copy(after)
    for _ in range(3):
        assert bootloader.choose(copy, print)[4] == where


def test_keep_goes_on_where_a_cut_left_it(tmp_path, new):
    old = with_otadata(board(tmp_path / "old", "1", 1), new, [entry(1, VALID), BLANK])
    chip = Chip(old)
    left = []
    chip.each = lambda: left.append(bytes(chip.data))
    flasher.carry_out(flasher.keep(new, chip.read), chip, lambda done: None)
    for data in left[::9]:
        again = Chip(data)
        flasher.carry_out(flasher.keep(new, again.read), again, lambda done: None)
        assert starts(again.data)[1] == "2"


@pytest.mark.parametrize("state, more", [(PENDING, ()), (NEW, [("ota_0", "1.5")]), (ABORTED, ())])
def test_keep_during_a_trial_keeps_what_it_would_go_back_to(tmp_path, new, state, more):
    """Two versions, the newer one not confirmed: the confirmed one is not touched, and the other never runs in parts."""
    old = bytearray(board(tmp_path / "old", "1", 1, slot=1))
    other = board(tmp_path / "other", "1.5", 5, slot=0)
    for name in ("ota_0", "app_0"):
        start, size = new.at[name]
        old[start : start + size] = other[start : start + size]
    data = with_otadata(bytes(old), new, [entry(3, state), entry(2, VALID)])
    plan = flasher.keep(new, Chip(data).read)
    seen, after = cuts(data, plan)
    assert set(seen) == {OLD1, ("ota_0", "2"), *more} and starts(after) == ("ota_0", "2")


def test_keep_needs_our_table(new):
    other = bytearray(new.data)
    other[0x8004] ^= 1
    for data in (other, b"\xff" * len(new.data)):
        with pytest.raises(flasher.Failure, match="another partition table") as caught:
            flasher.keep(new, Chip(data).read)
        assert "--keep" in caught.value.hint


def test_an_older_one_is_said_to_be_older(tmp_path, new):
    newer = board(tmp_path / "newer", "9", 900)
    plan = flasher.keep(new, Chip(newer).read)
    assert "older than what runs now" in plan.words and "above sequence number 900" in plan.words
    plan = flasher.keep(new, Chip(board(tmp_path / "old", "1", 1)).read)
    assert "older" not in plan.words


@pytest.mark.parametrize(
    "chip, size, text, hint",
    [
        ("ESP32-S3", 8, "has an ESP32-S3, and the image is for an ESP32", "the build for ESP32-S3"),
        ("ESP32-C6", 8, "has an ESP32-C6", "Fargo runs on ESP32, ESP32-S3 and ESP32-C3"),
        ("ESP32", 2, "2 MB of flash, and the image needs 8 MB", "4 MB are the least"),
        ("ESP32", 4, "4 MB of flash, and the image needs 8 MB", "--layout 4MB"),
    ],
)
def test_a_board_that_is_another(new, chip, size, text, hint):
    large = board_image.Image(bytes(8 << 20), "esp32", "8MB", new.at, "2", 2)
    with pytest.raises(flasher.Failure, match=text) as caught:
        flasher.check_board(large, chip, size << 20, "/dev/ttyUSB0")
    assert hint in caught.value.hint
    flasher.check_board(large, "ESP32", 16 << 20, "/dev/ttyUSB0")
