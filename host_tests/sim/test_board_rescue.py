"""boot.py and rescue.py: what a board does whose app cannot be run."""

import struct
import zlib

import pytest
from fargo import flash, image, romfs
from loopback import address

from board.sim.simboard import SimBoard

NEW, PENDING, VALID, INVALID, ABORTED = range(5)
OTADATA = 0xD000
OTA = (0x10000, 0x30000)
APP = (0x60000, 0x90000)

RUNS = 'import sys\ndef run():\n    print("app of", sys.modules["fw"].VERSION)\n    import time\n    time.sleep(60)\n'
CONFIRMS = RUNS.replace(
    "    print", "    import esp32\n    esp32.Partition.mark_app_valid_cancel_rollback()\n    print"
)
BROKEN = "raise ValueError('broken')\n"
CRASHES = 'import sys\ndef run():\n    print("app of", sys.modules["fw"].VERSION)\n    raise ValueError("crashed")\n'
ENDS = CRASHES.replace('raise ValueError("crashed")', "pass")
EXITS = CRASHES.replace('raise ValueError("crashed")', "sys.exit(1)")


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """App images by the source of their main."""
    made = {}

    def make(source):
        if source not in made:
            main = tmp_path_factory.mktemp("app") / "main.py"
            main.write_text(source)
            made[source] = romfs.build({"main.py": main})
        return made[source]

    return make


class Desk:
    """A board with the apps `one` and `two` (None: nothing) and what `otadata` says."""

    def __init__(self, folder, apps, one, two, *entries):
        self.path = folder / "flash"
        images = [image.build_image(name, size=4096) for name in ("one", "two")]
        flash.build_flash(self.path, "small", images[0], b"", b"", {"v": 1})
        self.patch(OTA[1], images[1])
        for i, source in enumerate((one, two)):
            if source:
                self.patch(APP[i], source if isinstance(source, bytes) else apps(source))
        for sector, (seq, state) in enumerate(entries):
            crc = zlib.crc32(struct.pack("<L", seq), 0xFFFFFFFF)
            self.patch(OTADATA + 4096 * sector, struct.pack("<L20sLL", seq, b"\xff" * 20, state, crc))
        self.address = address()

    def patch(self, at, data):
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def states(self):
        data = self.path.read_bytes()
        return [struct.unpack("<L20xL", data[at : at + 28]) for at in (OTADATA, OTADATA + 4096)]

    def board(self):
        return SimBoard(self.path, address=self.address, flash_ms=(0, 0))


def starts(board):
    return [line.split()[-1] for line in board.lines if "bootloader: starting" in line]


def test_it_runs(tmp_path, apps):
    with Desk(tmp_path, apps, RUNS, None).board() as board:
        board.wait_log("app of one")
        assert board.resets == ["power"]


@pytest.mark.parametrize("two", [None, b"\xff" * 64, b"\xd2\xcd\x31\x82", BROKEN])
def test_on_trial_and_cannot_be_run(tmp_path, apps, two):
    desk = Desk(tmp_path, apps, RUNS, two, (1, VALID), (2, NEW))
    with desk.board() as board:
        board.wait_log("app of one")
        assert "error: rescue: the version on trial cannot be run, going back" in board.lines
        assert starts(board) == ["ota_1", "ota_0"] and board.resets == ["power", "reset"]
    assert desk.states() == [(1, VALID), (2, ABORTED)]


@pytest.mark.parametrize("two", [CRASHES, ENDS, EXITS], ids=["crashes", "ends", "exits"])
def test_on_trial_and_stops(tmp_path, apps, two):
    desk = Desk(tmp_path, apps, RUNS, two, (1, VALID), (2, NEW))
    with desk.board() as board:
        board.wait_log("app of one")
        assert "app of two" in board.lines and starts(board) == ["ota_1", "ota_0"]
    assert desk.states() == [(1, VALID), (2, ABORTED)]


def test_confirmed_and_crashes_starts_afresh_and_arms_nothing(tmp_path, apps):
    desk = Desk(tmp_path, apps, CRASHES, RUNS, (1, VALID))
    with desk.board() as board:
        board.wait_log("ValueError: crashed")
        board.wait_log("ValueError: crashed", start=len(board.lines))
        assert set(starts(board)) == {"ota_0"} and board.resets[:2] == ["power", "reset"]
    assert desk.states()[0] == (1, VALID) and desk.states()[1][0] == 0xFFFFFFFF


@pytest.mark.parametrize("one", [None, b"\xd2\xcd\x31\x82", BROKEN])
def test_confirmed_and_cannot_be_run_takes_the_other(tmp_path, apps, one):
    desk = Desk(tmp_path, apps, one, CONFIRMS, (1, VALID))
    with desk.board() as board:
        board.wait_log("app of two")
        assert "warning: rescue: trying ota_1" in board.lines
    with desk.board() as board:
        board.wait_log("app of two")
        assert starts(board) == ["ota_1"]
    assert desk.states()[1] == (2, VALID)


@pytest.mark.parametrize("two", [BROKEN, b"\xd2\xcd\x31\x82"])
def test_two_that_cannot_be_run_do_not_take_turns(tmp_path, apps, two):
    desk = Desk(tmp_path, apps, BROKEN, two, (1, VALID))
    with desk.board() as board:
        board.wait_log("the REPL would be here")
        assert starts(board) == ["ota_0", "ota_1", "ota_0"]
        assert "error: rescue: ota_1 was tried and could not be run either" in board.lines
        assert board.lines[-2:] == ["error: boot: nothing to start; connect by USB", "the REPL would be here"]


def test_the_power_fails_in_the_try_of_the_other(tmp_path, apps):
    desk = Desk(tmp_path, apps, BROKEN, RUNS, (1, VALID))
    for _ in range(2):
        with desk.board() as board:
            board.wait_log("app of two")
    assert desk.states() == [(1, VALID), (2, PENDING)]


def test_nothing_else_to_start(tmp_path, apps):
    desk = Desk(tmp_path, apps, None, None, (1, VALID))
    with desk.board() as board:
        board.wait_log("the REPL would be here")
        assert starts(board) == ["ota_0"] and "error: boot: nothing to start; connect by USB" in board.lines


def test_the_other_one_s_firmware_is_refused(tmp_path, apps):
    desk = Desk(tmp_path, apps, BROKEN, RUNS, (1, VALID))
    desk.patch(OTA[1] + 2000, b"damaged")
    with desk.board() as board:
        board.wait_log("the REPL would be here")
        assert any(line.startswith("error: rescue: ota_1 was refused") for line in board.lines)
        assert starts(board) == ["ota_0"]
    assert desk.states()[0] == (1, VALID)


def test_from_the_second_slot_back_to_the_first(tmp_path, apps):
    desk = Desk(tmp_path, apps, CONFIRMS, BROKEN, (1, VALID), (2, VALID))
    with desk.board() as board:
        board.wait_log("app of one")
        assert starts(board) == ["ota_1", "ota_0"]
    assert desk.states() == [(3, VALID), (2, VALID)]
