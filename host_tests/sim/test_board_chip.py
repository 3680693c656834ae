"""The simulated chip from within: small programs that run as its boot.py, and what they leave in the flash."""

import socket
import threading

import pytest
from fargo import flash, image
from littlefs import LittleFS
from loopback import address

from board.sim.simboard import SimBoard

pytestmark = pytest.mark.alone

DATA, DATA_SIZE = 0xC0000, 0x20000
APP_1 = 0x90000

PRELUDE = """
import esp32, machine, network, os, socket, sys, time
P = esp32.Partition
def error(function, *args):
    try:
        return function(*args)
    except OSError as e:
        return e.args
"""


class Chip:
    """A flash whose boot.py is `program`; `say` are the lines after "= "."""

    def __init__(self, folder, program):
        self.path = folder / "flash"
        self.address = address()
        files = {"boot.py": (PRELUDE + program.replace("ADDRESS", self.address)).encode()}
        flash.build_flash(self.path, "small", image.build_image("1", size=4096), b"", b"", {"v": 1}, files)

    def board(self, **options):
        options.setdefault("flash_ms", (0, 0))
        return SimBoard(self.path, address=self.address, **options)

    def said(self, **options):
        """What it says until it says "end"."""
        with self.board(**options) as board:
            board.wait_log("= end")
            return [line[2:] for line in board.lines if line.startswith("= ")][:-1]

    def read(self, at, size):
        return self.path.read_bytes()[at : at + size]

    def patch(self, at, data):
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)


def test_what_partitions_refuse(tmp_path):
    program = """
app = P("app_1")
buf = bytearray(8)
print("=", error(app.readblocks, 48, bytearray(0)), error(app.readblocks, 49, buf), error(app.readblocks, 47, buf, 4090))
print("=", error(app.writeblocks, 0, b"x" * 100), error(app.writeblocks, 48, bytes(4096)))
print("=", error(app.writeblocks, 47, b"x" * 10, 4090), error(app.ioctl, 6, 48), error(app.ioctl, 6, 49))
print("=", error(P("data").set_boot), error(P("app_1").set_boot))
print("=", P(P.BOOT).info()[4], P("ota_0").get_next_update().info()[4], P("ota_1").get_next_update().info()[4])
print("=", [p.info()[4] for p in P.find(P.TYPE_DATA, subtype=2)], P.find(P.TYPE_DATA, label="none"), P.find(label="app_0"))
try:
    P(7)
except ValueError:
    print("= ValueError")
print("= end")
"""
    arg, size, refused = (
        "(-258, 'ESP_ERR_INVALID_ARG')",
        "(-260, 'ESP_ERR_INVALID_SIZE')",
        "(-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')",
    )
    assert Chip(tmp_path, program).said() == [
        f"None {arg} {size}",
        f"{size} {size}",
        f"{size} {size} {arg}",
        f"{refused} {refused}",
        "ota_0 ota_1 ota_0",
        "['nvs'] [] []",
        "ValueError",
    ]


def test_littlefs_is_the_same_on_both_sides(tmp_path):
    program = """
import vfs
device = P("data")
try:
    vfs.mount(vfs.VfsLfs2(device), "/data")
except OSError:
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/data")
print("=", sorted(os.listdir("/data")))
if "from_desktop" in os.listdir("/data"):
    print("=", open("/data/from_desktop", "rb").read())
with open("/data/from_chip", "wb") as f:
    for n in range(100):
        f.write(bytes((n,)) * 100)
if "folder" not in os.listdir("/data"):
    os.mkdir("/data/folder")
os.rename("/data/from_chip", "/data/folder/renamed")
print("= end")
"""
    chip = Chip(tmp_path, program)
    assert chip.said() == ["[]"]
    fs = LittleFS(block_size=4096, block_count=DATA_SIZE // 4096, mount=False)
    fs.context.buffer = bytearray(chip.read(DATA, DATA_SIZE))
    fs.mount()
    assert fs.listdir("/") == ["folder"] and fs.listdir("/folder") == ["renamed"]
    with fs.open("/folder/renamed", "rb") as file:
        assert file.read() == b"".join(bytes((n,)) * 100 for n in range(100))
    with fs.open("/from_desktop", "wb") as file:
        file.write(b"hello")
    fs.unmount()
    chip.patch(DATA, bytes(fs.context.buffer))
    assert chip.said() == ["['folder', 'from_desktop']", "b'hello'"]


def test_flash_takes_its_time_and_stops_everything(tmp_path):
    program = """
app = P("app_1")
began = time.ticks_ms()
for n in range(10):
    app.writeblocks(n, bytes(4096))
print("=", time.ticks_diff(time.ticks_ms(), began))
print("= end")
"""
    assert 350 <= int(Chip(tmp_path, program).said(flash_ms=(30, 5))[0]) < 1000
    assert int(Chip(tmp_path, program).said(flash_ms=(0, 0))[0]) < 300


def test_operations_are_counted_and_overwriting_is_told(tmp_path):
    program = """
app = P("app_1")
app.ioctl(6, 0)
app.writeblocks(0, b"abc", 0)
app.writeblocks(0, b"abc", 0)
print("= once")
app.writeblocks(0, b"xyz", 0)
app.writeblocks(1, bytes(8192))
print("= end")
machine.reset()
"""
    program = "if machine.reset_cause() == 1:\n    " + program.strip().replace("\n", "\n    ") + "\nprint('= again')"
    with Chip(tmp_path, program).board() as board:
        board.wait_log("= again")  # a chip says how many there were when it resets
        lines = board.lines[: board.lines.index("= end")]
        # 3 programs, 3 sectors erased, 2 programmed; and otadata filled in by the bootloader
        assert board.operations == 3 + 3 + 2 + 2
    told = [line for line in lines if "without an erase" in line]
    assert told == ["flash: bits at 0x90000 are to be set without an erase"]
    assert lines.index(told[0]) > lines.index("= once")


@pytest.mark.parametrize("cut", [1, 2])
def test_torn_bits(tmp_path, cut):
    program = """
P("app_1").writeblocks(0, b"\\x55" * 4096)
print("= end")
"""
    chip = Chip(tmp_path, program)
    chip.said()  # afterwards otadata is written: the operations counted are the program's
    chip.patch(APP_1, bytes(4096))
    board = chip.board(cut_at=cut, torn="bits")
    board.power_on()
    board.wait_off()
    assert not any("= end" in line for line in board.lines)
    now = chip.read(APP_1, 4096)
    ones = sum(byte.bit_count() for byte in now)
    if cut == 1:  # an erase that left bits
        assert 0.92 < ones / 32768 < 0.96
    else:  # a program that did not clear all it should have
        assert all(byte & 0x55 == 0x55 for byte in now)
        assert 0.51 < ones / 32768 < 0.56
    assert chip.read(APP_1 + 4096, 4096) == b"\xff" * 4096


def test_every_cut_leaves_what_was_done_before_it(tmp_path):
    program = """
app = P("app_1")
for n in range(3):
    app.ioctl(6, n)
    app.writeblocks(n, b"first", 0)
    app.writeblocks(n, b"second", 100)
print("= end")
"""
    chip = Chip(tmp_path, program)
    chip.said()
    old = b"\xaa" * 12288
    for cut in range(1, 10):
        chip.patch(APP_1, old)
        board = chip.board(cut_at=cut)
        board.power_on()
        board.wait_off()
        assert board.operations == cut
        expected = bytearray(old)
        for done in range(cut - 1):
            at = done // 3 * 4096
            if done % 3 == 0:
                expected[at : at + 4096] = b"\xff" * 4096
            elif done % 3 == 1:
                expected[at : at + 5] = b"first"
            else:
                expected[at + 100 : at + 106] = b"second"
        assert chip.read(APP_1, 12288) == bytes(expected), cut


def test_a_soft_reset(tmp_path):
    program = """
print("= cause", machine.reset_cause())
if machine.reset_cause() == 1:
    machine.soft_reset()
print("= end")
"""
    with Chip(tmp_path, program).board() as board:
        board.wait_log("= end")
        assert board.resets == ["power", "soft"]
        assert [line for line in board.lines if line.startswith("= cause")] == ["= cause 1", "= cause 5"]
        assert board.lines.count("bootloader: starting ota_0") == 2


def test_a_soft_reset_in_a_trial_does_not_end_it(tmp_path):
    program = """
print("= cause", machine.reset_cause(), P(P.RUNNING).info()[4])
if machine.reset_cause() == 1:
    P("ota_1").set_boot()
    machine.reset()
if machine.reset_cause() == 2:
    machine.soft_reset()
print("= end")
"""
    chip = Chip(tmp_path, program)
    chip.patch(0x30000, image.build_image("2", size=4096))
    assert chip.said() == ["cause 1 ota_0", "cause 2 ota_1", "cause 5 ota_1"]


def test_the_watchdog_is_fed_and_set_anew(tmp_path):
    program = """
print("= cause", machine.reset_cause())
if machine.reset_cause() != 3:
    dog = machine.WDT(timeout=1000)
    for _ in range(6):
        time.sleep_ms(300)
        dog.feed()
    machine.WDT(timeout=3000)
    time.sleep_ms(1500)
    print("= alive")
    time.sleep(60)
print("= end")
"""
    assert Chip(tmp_path, program).said() == ["cause 1", "alive", "cause 3"]


def test_a_crash_of_the_interpreter_is_a_reset(tmp_path):
    program = """
print("= cause", machine.reset_cause())
if machine.reset_cause() == 1:
    import uctypes
    uctypes.bytearray_at(8, 8)[0] = 1
print("= end")
"""
    assert Chip(tmp_path, program).said() == ["cause 1", "cause 2"]


def test_the_station(tmp_path):
    program = """
w = network.WLAN(network.STA_IF)
print("=", w.active(), w.isconnected(), error(w.connect, "a", "b"), w.ifconfig()[0])
w.active(True)
print("=", w.isconnected())
w.connect("a", "b")
while not w.isconnected():
    time.sleep_ms(10)
print("=", w.ifconfig()[0], w.ifconfig()[3])
while w.isconnected():
    time.sleep_ms(10)
print("= lost")
while not w.isconnected():
    time.sleep_ms(10)
print("= end")
"""
    chip = Chip(tmp_path, program)
    with chip.board(network=False, join_ms=100) as board:
        board.wait_log("= False")
        assert board.network is False
        board.network = True
        board.wait_log(f"= {chip.address} 127.0.0.1")
        board.network = False
        board.wait_log("= lost")
        board.network = True
        board.wait_log("= end")
    assert board.lines[1:3] == ["= False False (12290, 'Wifi Not Started') 0.0.0.0", "= False"]


def test_ports_of_the_network_lead_to_the_rig(tmp_path):
    program = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (53, 123, %d):
    s.sendto(b"to %%d" %% port, socket.getaddrinfo("127.0.0.1", port)[0][-1])
print("= end")
"""
    sockets = []
    for _ in range(3):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.settimeout(10)
        sockets.append(s)
    ports = [s.getsockname()[1] for s in sockets]
    with Chip(tmp_path, program % ports[2]).board(dns_port=ports[0], ntp_port=ports[1]) as board:
        board.wait_log("= end")
        heard = [s.recv(100) for s in sockets]
    assert heard == [b"to 53", b"to 123", b"to %d" % ports[2]]
    for s in sockets:
        s.close()


def test_queues_are_as_small_as_the_chip_s(tmp_path):
    program = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(socket.getaddrinfo("ADDRESS", 7777)[0][-1])
l = socket.socket()
l.bind(socket.getaddrinfo("ADDRESS", 7778)[0][-1])
l.listen(1)
print("= ready")
c = l.accept()[0]
time.sleep_ms(2500)
s.setblocking(False)
got = 0
try:
    while s.recv(2000):
        got += 1
except OSError:
    pass
print("= datagrams", got)
total = 0
while True:
    data = c.recv(4096)
    if not data:
        break
    total += len(data)
print("= bytes", total)
print("= end")
"""
    chip = Chip(tmp_path, program)
    with chip.board() as board:
        board.wait_log("= ready")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(30):
                s.sendto(bytes(1024), (chip.address, 7777))
        with socket.create_connection((chip.address, 7778)) as c:
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            c.settimeout(0.3)
            sent = 0
            try:
                while sent < 100_000:
                    sent += c.send(bytes(1000))
            except TimeoutError:
                pass
            assert sent < 30_000, "nobody reads: what the two ends hold is little"
        board.wait_log("= end")
        got = int(board.wait_log("= datagrams").split()[-1])
        assert 5 <= got <= 7
        assert board.wait_log("= bytes") == f"= bytes {sent}"


def test_the_clock_begins_in_2000_and_knows_no_time_zone(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    program = """
print("=", time.time() < 60, time.gmtime(0)[:3])
machine.RTC().datetime((2031, 7, 3, 0, 4, 5, 6, 0))
print("=", 0 <= time.time() + 946684800 - 1940817906 < 50, machine.RTC().datetime()[:5])
print("=", time.localtime()[:5], time.gmtime()[:5], 0 <= time.time() - time.mktime(time.gmtime()) < 2)
print("= end")
"""
    assert Chip(tmp_path, program).said() == [
        "True (2000, 1, 1)",
        "True (2031, 7, 3, 3, 4)",
        "(2031, 7, 3, 4, 5) (2031, 7, 3, 4, 5) True",
    ]


def test_power_off_while_it_runs_and_on_again(tmp_path):
    program = """
print("= started")
while True:
    P("app_1").writeblocks(0, b"\\x11" * 4096)
"""
    chip = Chip(tmp_path, program)
    board = chip.board()
    threads = threading.active_count()
    for _ in range(3):
        start = len(board.lines)
        board.power_on()
        board.power_on()
        board.wait_log("= started", start=start)
        board.power_off()
        board.power_off()
        assert not board.running and threading.active_count() <= threads
    assert board.resets == ["power"] * 3
    assert set(chip.read(APP_1, 4096)) <= {0x11, 0xFF}
    assert len(board.times) == len(board.lines) and board.times == sorted(board.times)


def test_a_chip_without_an_image_is_dead(tmp_path):
    chip = Chip(tmp_path, "")
    chip.patch(0x10000, bytes(4096))
    board = chip.board()
    board.power_on()
    board.wait_off()
    assert board.dead and not board.running
    assert "bootloader: no bootable app partition" in board.lines
    assert [line for line in board.lines if "not started" in line] == [
        "bootloader: ota_0 is not started: no image",
        "bootloader: ota_1 is not started: no image",
    ]
    with pytest.raises(TimeoutError, match="the board did not say"):
        board.wait_log("anything", 0.01)
