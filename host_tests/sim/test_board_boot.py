"""The simulated board behaves as the chip does: bootloader, otadata, flash, watchdog, clock, power."""

import binascii
import struct

import pytest
from fargo import flash, image, romfs
from loopback import address

from board.sim.simboard import SimBoard

NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF
OTADATA, OTA_0, OTA_1 = 0xD000, 0x10000, 0x30000
NOTHING = b"\xff" * 32
RUN = """import sys
def run():
    print("app of", sys.modules["fw"].VERSION)
{}
    import time
    while True:
        time.sleep(1)
"""


def entry(seq, state):
    head = struct.pack("<L", seq)
    return head + b"\xff" * 20 + struct.pack("<LL", state, binascii.crc32(head, 0xFFFFFFFF))


class Bench:
    """A flash with two images, and a board to run it."""

    def __init__(self, folder, body="    pass"):
        self.address = address()
        self.path = folder / "flash"
        main = folder / "main.py"
        main.write_text(RUN.format(body))
        app = romfs.build({"main.py": main})
        images = [image.build_image(version, size=8192) for version in ("one", "two")]
        flash.build_flash(self.path, "small", images[0], app, b"\xff" * 4096, {"v": 1})
        self.patch(OTA_1, images[1])
        self.patch(0x90000, app)

    def patch(self, at, data):
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def read(self, at, size):
        return self.path.read_bytes()[at : at + size]

    def states(self):
        found = []
        for sector in (0, 1):
            seq, _, state, crc = struct.unpack("<L20sLL", self.read(OTADATA + 4096 * sector, 32))
            good = seq != 0xFFFFFFFF and crc == binascii.crc32(struct.pack("<L", seq), 0xFFFFFFFF)
            found.append((seq, state) if good else None)
        return found

    def board(self, **options):
        return SimBoard(self.path, address=self.address, flash_ms=(0, 0), **options)

    def runs(self):
        """Which image runs after one power on."""
        with self.board() as board:
            return board.wait_log("app of").split()[-1]


@pytest.mark.parametrize(
    ("first", "second", "runs", "after"),
    [
        (NOTHING, NOTHING, "one", [(1, VALID), None]),  # nothing is said: the first slot, and that is written
        (entry(1, VALID), NOTHING, "one", [(1, VALID), None]),
        (entry(1, VALID), entry(2, VALID), "two", [(1, VALID), (2, VALID)]),
        (entry(1, VALID), entry(2, NEW), "two", [(1, VALID), (2, PENDING)]),
        (entry(1, VALID), entry(2, PENDING), "one", [(1, VALID), (2, ABORTED)]),
        (entry(1, VALID), entry(2, INVALID), "one", [(1, VALID), (2, INVALID)]),
        (entry(1, VALID), entry(2, ABORTED), "one", [(1, VALID), (2, ABORTED)]),
        (entry(1, VALID), entry(2, UNDEFINED), "two", [(1, VALID), (2, UNDEFINED)]),
        (entry(3, NEW), entry(2, VALID), "one", [(3, PENDING), (2, VALID)]),
        (b"\x55" * 32, b"\xaa" * 32, "one", [None, None]),  # both are rubbish: left as it is
    ],
)
def test_otadata_selects(tmp_path, first, second, runs, after):
    bench = Bench(tmp_path)
    bench.patch(OTADATA, first)
    bench.patch(OTADATA + 4096, second)
    assert bench.runs() == runs
    assert bench.states() == after


@pytest.mark.parametrize("where", [0, 12, 32, 500, -40, -1])
def test_a_damaged_image_is_not_started(tmp_path, where):
    bench = Bench(tmp_path)
    bench.patch(OTADATA, entry(1, VALID))
    bench.patch(OTADATA + 4096, entry(2, VALID))
    where %= len(image.build_image("two", size=8192))
    byte = bench.read(OTA_1 + where, 1)[0]
    bench.patch(OTA_1 + where, bytes((byte ^ 0x10,)))
    assert bench.runs() == "one"


def test_no_image_at_all(tmp_path):
    bench = Bench(tmp_path)
    for at in (OTA_0, OTA_1):
        bench.patch(at, b"\xff" * 4096)
    with bench.board() as board:
        board.wait_log("no bootable app partition")


PROBE = """
    import esp32, machine
    P = esp32.Partition
    def error(function, *args):
        try:
            return function(*args)
        except OSError as e:
            return e.args
    other = P("ota_1")
    app = P("app_1")
    print("info", P(P.RUNNING).info(), [p.info()[4] for p in P.find(P.TYPE_APP)])
    print("ioctl", app.ioctl(4, 0), app.ioctl(5, 0), app.ioctl(6, 1), app.ioctl(9, 0), P("app_1", 512).ioctl(6, 0))
    buf = bytearray(4)
    app.readblocks(1, buf, 8)
    print("erased", bytes(buf))
    app.writeblocks(1, b"\\x0f\\xf0", 8)
    app.writeblocks(1, b"\\xf1\\xff", 8)
    app.readblocks(1, buf, 8)
    print("anded", bytes(buf))
    print("partial", error(app.writeblocks, 1, b"x" * 100))
    print("outside", error(app.readblocks, 48, buf))
    print("missing", error(P, "nothing"))
    n = esp32.NVS("t")
    print("nvs", error(n.get_i32, "a"))
    n.set_i32("a", -5); n.set_blob("b", b"hello"); n.commit()
    print("nvs", esp32.NVS("t").get_i32("a"), esp32.NVS("t").get_blob("b", bytearray(9)), machine.reset_cause())
    P("ota_1").ioctl(6, 0)
    print("boot", error(other.set_boot))
    print("keep", error(P.mark_app_valid_cancel_rollback))
"""


def test_partitions_and_nvs(tmp_path):
    with Bench(tmp_path, PROBE).board() as board:
        board.wait_log("keep")
        said = {line.split(" ", 1)[0]: line for line in board.lines}
    assert said["info"] == "info (0, 16, 65536, 131072, 'ota_0', False) ['ota_0', 'ota_1']"
    assert said["ioctl"] == "ioctl 48 4096 0 None -22"
    assert said["erased"] == "erased b'\\xff\\xff\\xff\\xff'"
    assert said["anded"] == "anded b'\\x01\\xf0\\xff\\xff'"
    assert "ESP_ERR_INVALID_SIZE" in said["partial"] and "ESP_ERR_INVALID_SIZE" in said["outside"]
    assert said["nvs"] == "nvs -5 5 1" and said["missing"] == "missing (2,)"
    assert said["boot"] == "boot (-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')"
    assert said["keep"] == "keep None"


def test_nvs_outlives_the_power(tmp_path):
    body = """
    import esp32
    n = esp32.NVS("t")
    try:
        print("kept", n.get_i32("a"))
    except OSError:
        print("kept nothing")
    n.set_i32("a", 7); n.commit()
    print("stored")
"""
    bench = Bench(tmp_path, body)
    for expected in ("kept nothing", "kept 7"):
        with bench.board() as board:
            board.wait_log("stored")
            assert expected in board.lines


def test_nvs_takes_what_a_trust_store_needs(tmp_path):
    """Large values, the last of which counts, and none that is larger than the chip's."""
    body = """
    import esp32
    n = esp32.NVS("t")
    buf = bytearray(1500)
    try:
        size = n.get_blob("b", buf)
        print("kept", size, set(buf[:size]), n.get_i32("a"))
    except OSError:
        print("kept nothing")
    n.set_i32("a", 7)
    for number in (1, 2):
        n.set_blob("b", bytes((number,)) * 1000)
        n.commit()
    for size in (4001, 4000):
        try:
            n.set_blob("c", bytes(size)); n.commit(); print("took", size)
            n.get_blob("c", buf)
        except OSError as error:
            print(error.args[1])
    print("stored")
"""
    bench = Bench(tmp_path, body)
    for expected in ("kept nothing", "kept 1000 {2} 7"):
        with bench.board() as board:
            board.wait_log("stored")
            assert expected in board.lines
            assert "took 4000" in board.lines and "took 4001" not in board.lines
            assert {"ESP_ERR_NVS_VALUE_TOO_LONG", "ESP_ERR_NVS_INVALID_LENGTH"} <= set(board.lines)


def test_a_trial_that_is_not_confirmed_is_over_with_the_next_reset(tmp_path):
    body = """
    import esp32, machine
    P = esp32.Partition
    if sys.modules["fw"].VERSION == "one" and machine.reset_cause() == 1:
        P("ota_1").set_boot()
    machine.reset() if machine.reset_cause() == 1 or sys.modules["fw"].VERSION == "two" else print("back")
"""
    bench = Bench(tmp_path, body)
    bench.patch(OTADATA, entry(1, VALID))
    with bench.board() as board:
        board.wait_log("back")
        assert [line for line in board.lines if "app of" in line] == ["app of one", "app of two", "app of one"]
        assert board.resets == ["power", "reset", "reset"]
    assert bench.states() == [(1, VALID), (2, ABORTED)]


def test_the_watchdog_bites_what_hangs(tmp_path):
    body = """
    import machine
    print("cause", machine.reset_cause())
    if machine.reset_cause() == 1:
        machine.WDT(timeout=300)
        while True:
            pass
"""
    with Bench(tmp_path, body).board() as board:
        board.wait_log("cause 3")
        assert board.resets == ["power", "watchdog"]


def test_the_clock_survives_a_reset_and_not_a_power_cut(tmp_path):
    body = """
    import machine, time
    print("year", time.gmtime(time.time())[0], machine.reset_cause())
    if machine.reset_cause() == 1:
        machine.RTC().datetime((2031, 2, 3, 0, 4, 5, 6, 0))
        machine.reset()
    print("end")
"""
    bench = Bench(tmp_path, body)
    for _ in range(2):
        with bench.board() as board:
            board.wait_log("end")
            assert [line for line in board.lines if "year" in line] == ["year 2000 1", "year 2031 2"]


WRITER = """
    import esp32
    app = esp32.Partition("app_1")
    for n in range(4):
        app.writeblocks(n, bytes([n + 1]) * 4096)
    print("written")
"""


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_power_fails_at_an_operation(tmp_path, cut, torn):
    bench = Bench(tmp_path, WRITER)
    with bench.board() as board:
        board.wait_log("written")
    clean = bench.read(0x90000, 16384)
    assert clean == b"".join(bytes([n]) * 4096 for n in (1, 2, 3, 4))
    before = bench.read(0x90000, 16384)
    board = bench.board(cut_at=cut, torn=torn)
    board.power_on()
    board.wait_off()
    assert not board.running
    # Operations: erase 0, program 0, erase 1, program 1
    expected = bytearray(before)
    for operation in range(1, cut + 1):
        sector, program = divmod(operation - 1, 2)
        done = 4096 if operation < cut else 2048 if torn else 0
        fill = bytes([sector + 1]) if program else b"\xff"
        expected[sector * 4096 : sector * 4096 + done] = fill * done
    assert bench.read(0x90000, 16384) == bytes(expected)


def test_a_damaged_vfs_loops_as_micropython_does(tmp_path):
    bench = Bench(tmp_path)
    bench.patch(0x50000, b"\x00" * 0x10000)
    with bench.board() as board:
        board.wait_log("vfs cannot be mounted")


def test_without_an_app_the_other_slot_is_tried(tmp_path):
    bench = Bench(tmp_path)
    bench.patch(OTADATA, entry(1, VALID))
    bench.patch(0x60000, b"\xff" * 4096)
    with bench.board() as board:
        board.wait_log("rescue: trying ota_1")
        board.wait_log("app of two")


def test_nothing_of_the_host_is_seen(tmp_path):
    body = """
    import os
    print("root", sorted(os.listdir("/")))
    try:
        open("/etc/passwd")
        print("seen")
    except OSError:
        print("hidden")
"""
    with Bench(tmp_path, body).board() as board:
        board.wait_log("hidden")
        assert "root ['app', 'boot.py', 'fargo.cbor', 'launch.py', 'rescue.py', 'romfs.py']" in board.lines
