"""`fargo board`: images, flashing and watching, as commands, with a stand-in for the command esptool."""

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest
from esptool_stand_in import StandIn
from fargo import board_image, flash, flasher, image, keys, official, release, romfs
from fargo.bundle import ROOT
from fargo.cli import main
from littlefs import LittleFS
from test_official import BANNER, table

IDS = bytes(16), bytes(range(16))


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A folder with official builds, a key, an image "v1.img" and one of the next version "v2.img", both of a small app."""
    home = tmp_path_factory.mktemp("stock")
    key = keys.new(home / "release.pem")
    (home / "release.pub").write_bytes(keys.public_pem(key.public_key()))
    source = home / "main.py"
    source.write_text("print('main')")
    app = romfs.build({"main.py": source}, "xtensawin")
    provision = board_image.provision([key.public_key()], 1, [], "Lamp", "Maker", "One", *IDS)
    for number, chip in ((1, "esp32"), (2, "esp32"), (1, "esp32s3")):
        banner = BANNER.replace("1.26", f"1.2{5 + number}")
        file = home / f"{chip}-{number}.bin"
        file.write_bytes(image.build_official(banner, size=20_000, chip=chip, table=table()))
        build = official.read(file)
        envelope = release.build(home, f"{number}.0", number, *IDS, build.parts.app, app, 6, name=chip)
        release.sign(envelope, key)
        name = f"v{number}.img" if chip == "esp32" else "s3.img"
        board_image.write(home / name, build, board_image.from_envelope(envelope), provision)
    return home


@pytest.fixture
def chip(tmp_path, monkeypatch):
    """The stand-in on PATH."""
    made = StandIn(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


def run(capsys, *arguments):
    """(exit code, the object on stdout, what people are told) of a command with --json."""
    code = main([str(a) for a in arguments] + ["--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def flash_it(capsys, stock, name="v1.img", *more):
    return run(capsys, "board", "flash", stock / name, "--port", "/dev/ttyUSB7", *more)


# Images


def test_what_is_in_an_image(stock):
    data = (stock / "v1.img").read_bytes()
    build = official.read(stock / "esp32-1.bin")
    assert len(data) == 4 << 20 and data[:0x1000] == b"\xff" * 0x1000
    assert official.split(data, "").app == build.parts.app
    assert data[0x1000:].startswith(build.parts.bootloader)
    assert flash.layout_of(data) == "4MB"
    found = board_image.read(stock / "v1.img")
    assert (found.chip, found.version, found.sequence) == ("esp32", "1.0", 1)
    for name in ("nvs", "otadata", "ota_1", "app_1", "data"):
        assert not found.part(name).strip(b"\xff"), name
    files = dict(romfs.files(found.part("app_0")))
    assert list(files) == ["main.mpy"] and files["main.mpy"][:2] == b"M\6"
    vfs = LittleFS(block_size=4096, block_count=16, prog_size=32, read_size=32, lookahead_size=32, mount=False)
    vfs.context.buffer = bytearray(found.part("vfs"))
    vfs.mount()
    assert sorted(vfs.listdir("/")) == ["boot.py", "fargo.cbor", "launch.py", "rescue.py", "romfs.py"]


def test_the_bootloader_is_told_the_size_of_the_layout(stock, tmp_path):
    build = official.read(stock / "esp32s3-1.bin")
    pair = board_image.from_envelope(stock / "esp32s3-1.0.suit".replace("esp32s3", "esp32s3"))
    for layout, code in (("4MB", 2), ("8MB", 3)):
        board_image.write(tmp_path / "image", build, pair, {"v": 1}, layout)
        data = (tmp_path / "image").read_bytes()
        assert len(data) == int(layout[:-2]) << 20 and data[3] >> 4 == code
        image.check_image(data, app=False)
        assert board_image.read(tmp_path / "image").layout == layout


def make(capsys, stock, tmp_path, *more, firmware="esp32-1.bin"):
    """`fargo board image`, as far as a dry run goes."""
    return run(
        capsys, "board", "image", tmp_path / "new.img", "--firmware", stock / firmware, "--key", stock / "release.pub",
        "--dry-run", *more,
    )  # fmt: skip


def test_an_image_of_a_signed_release(capsys, stock, tmp_path):
    suit = stock / "esp32-1.0.suit"
    code, said, _ = make(capsys, stock, tmp_path, "--release", suit)
    assert code == 0 and said["micropython"] == "1.26.0" and said["layout"] == "4MB"
    assert list(tmp_path.iterdir()) == []
    code, said, _ = run(
        capsys, "board", "image", tmp_path / "new.img", "--firmware", stock / "esp32-1.bin", "--release", suit,
        "--key", stock / "release.pub", "--name", "Porch",
    )  # fmt: skip
    assert code == 0 and (said["version"], said["sequence"]) == ("1.0", 1)
    found, other = board_image.read(tmp_path / "new.img"), board_image.read(stock / "v1.img")
    for name in ("ota_0", "app_0", "otadata"):
        assert found.part(name) == other.part(name)
    assert b"Porch" in found.part("vfs")


@pytest.mark.parametrize(
    "more, firmware, code, text",
    [
        (["--layout", "2MB"], "esp32-1.bin", 2, "no layout 2MB"),
        (["--app", "x", "--release", "y"], "esp32-1.bin", 2, "both given"),
        (["--app", "x"], "esp32-1.bin", 1, "has no app.py"),
        (["--threshold", "2"], "esp32-1.bin", 2, "fewer keys are given"),
        (["--vendor", "me"], "esp32-1.bin", 2, "--vendor: me is no UUID"),
        (["--ca", __file__], "esp32-1.bin", 2, "holds no certificates"),
        (["--url", "http://x/y"], "esp32-1.bin", 2, "--url: this device does not fetch with http"),
        (["--name", "x" * 90_000], "esp32-1.bin", 2, "--name has 1 to 64 bytes"),
        (["--manufacturer", ""], "esp32-1.bin", 2, "--manufacturer has 1 to 64 bytes"),
        (["--model", "a\x1b[31m"], "esp32-1.bin", 2, "--model has 1 to 64 bytes, all of them printable"),
        (["--version", "1\n2"], "esp32-1.bin", 2, "all of them printable"),
        (["--ca", "not-there.pem"], "esp32-1.bin", 1, "not-there.pem"),
        (["--release", "{home}/esp32-1.0.suit"], "esp32-2.bin", 1, "carries another firmware"),
        (["--release", "{home}/esp32-1.0.suit", "--key", "{home}/nobody.pub"], "esp32-1.bin", 1, "nobody.pub"),
        (["--release", "{home}/esp32-1.0.suit", "--class", "00000000-0000-0000-0000-000000000000"], "esp32-1.bin", 1,
         "is for class"),
        (["--release", "{home}/esp32-1.bin"], "esp32-1.bin", 1, "no release envelope"),
        ([], "app-bin", 1, "application alone (.app-bin)"),
        ([], "large", 1, "fetch the OTA build"),
        ([], "cut", 1, "is damaged (this is no firmware image: it ends too early)"),
        ([], "nothing", 1, "nothing: No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(capsys, stock, tmp_path, more, firmware, code, text):
    if firmware == "app-bin":
        (stock / firmware).write_bytes(official.read(stock / "esp32-1.bin").parts.app)
        more = ["--release", stock / "esp32-1.0.suit"]
    if firmware == "large":
        (stock / firmware).write_bytes(image.build_official(BANNER, size=0x1B0000 + 4096, table=table()))
    if firmware == "cut":
        (stock / firmware).write_bytes((stock / "esp32-1.bin").read_bytes()[:-5000])
    found, said, err = make(capsys, stock, tmp_path, *[str(m).format(home=stock) for m in more], firmware=firmware)
    assert (found, text in err) == (code, True), err
    assert said["code"] == code and err.count("\n") <= 2
    assert list(tmp_path.iterdir()) == []


def test_an_image_is_no_folder(capsys, stock, tmp_path):
    options = "--firmware", stock / "esp32-1.bin", "--key", stock / "release.pub"
    code, said, _err = run(capsys, "board", "image", tmp_path, *options)
    assert code == 2 and said["error"] == f"{tmp_path} is a folder"
    assert not tmp_path.with_name(tmp_path.name + ".release").exists()


def test_without_keys(capsys, stock, tmp_path):
    code, said, err = run(capsys, "board", "image", tmp_path / "x", "--firmware", stock / "esp32-1.bin")
    assert code == 2 and "--key" in said["error"]


def test_make_image_when_the_public_key_is_gone(tmp_path):
    """It does not try to make the private one anew, and says what will do."""
    (tmp_path / "pyproject.toml").touch()
    for name in ("venv", "keys"):
        (tmp_path / name).mkdir()
    (tmp_path / "venv/ready").touch()
    (tmp_path / "keys/release.pem").write_text("a key")
    told = ["make", "-f", str(ROOT / "Makefile"), "image", "VENV=venv", "FIRMWARE=x"]
    done = subprocess.run(told, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "KEY=keys/release.pem" in done.stdout, done.stderr
    assert (tmp_path / "keys/release.pem").read_text() == "a key"


def test_bytecode_of_another_mpy_cross(tmp_path):
    source = tmp_path / "main.py"
    source.write_text("print(1)")
    made = romfs.build({"main.py": source})
    romfs.check(made, 6, 10)
    with pytest.raises(romfs.Failure, match="main.mpy is .mpy version 6, and this firmware loads version 7"):
        romfs.check(made, 7)
    source.write_text("@micropython.native\ndef f():\n    return 1\n")
    native = romfs.build({"lib/main.py": source}, "xtensawin")
    romfs.check(native, 6, 10)
    with pytest.raises(romfs.Failure, match="lib/main.mpy holds native code for another chip"):
        romfs.check(native, 6, 11)
    for broken in (b"", bytes(5000), made[:30]):
        with pytest.raises(romfs.Failure, match="no ROMFS image"):
            romfs.check(broken, 6)


# Flashing


def test_fresh(capsys, stock, chip):
    code, said, err = flash_it(capsys, stock, "v1.img", "--yes")
    assert code == 0, err
    assert (said["chip"], said["slot"], said["version"], said["flash"]) == ("ESP32", "ota_0", "1.0", 4 << 20)
    data, wanted = chip.flash.read_bytes(), (stock / "v1.img").read_bytes()
    assert data[0x1000:0x3000] == wanted[0x1000:0x3000] and data[0x8000:0x10000] == wanted[0x8000:0x10000]
    found = board_image.read(stock / "v1.img")
    for name, (start, size) in found.at.items():
        used = len(found.part(name).rstrip(b"\xff")) if name == "ota_0" else size
        assert data[start : start + used] == wanted[start : start + used], name
    assert chip.verbs() == ["flash-id", *["erase-region"] * 3, "write-flash", "write-flash", "read-mac"]
    assert chip.calls()[-1][4:6] == ["--after", "hard-reset"]
    assert all(call[:2] == ["--port", "/dev/ttyUSB7"] for call in chip.calls())
    assert all(call[4:6] == ["--after", "no-reset"] for call in chip.calls()[:-1])


def test_keep(capsys, stock, chip):
    assert flash_it(capsys, stock, "v1.img", "--yes")[0] == 0
    before = chip.flash.read_bytes()
    chip.set()
    code, said, err = flash_it(capsys, stock, "v2.img", "--yes", "--keep")
    assert code == 0 and said["slot"] == "ota_1", err
    found, after = board_image.read(stock / "v2.img"), chip.flash.read_bytes()
    for name, (start, size) in found.at.items():
        if name not in ("ota_1", "app_1", "otadata"):
            assert after[start : start + size] == before[start : start + size], name
    start, size = found.at["app_1"]
    assert after[start : start + size] == found.part("app_0")
    code, said, err = flash_it(capsys, stock, "v1.img", "--yes", "--keep")
    assert code == 0 and said["slot"] == "ota_0"


def test_progress_is_in_bytes(capsys, stock, chip):
    code, said, err = flash_it(capsys, stock, "v1.img", "--yes", "--progress", "jsonl")
    seen = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    counts = [line["done"] for line in seen if line["event"] == "progress"]
    assert counts == sorted(counts) and counts[-1] == said["bytes"] == seen[-1]["total"] > 90_000


def test_it_asks(capsys, stock, chip, monkeypatch):
    """Nobody to ask: nothing is touched, not even the port. Asked: no is no. A dry run reads and says."""
    before = chip.flash.read_bytes()
    code, said, err = flash_it(capsys, stock)
    assert code == 2 and "--yes" in said["hint"] and chip.calls() == []
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code = main(["board", "flash", str(stock / "v1.img"), "--port", "/dev/ttyUSB7"])
    err = capsys.readouterr().err
    assert code == 2 and "nothing was done" in err and "both slots, its owner, credentials" in err
    assert chip.verbs() == ["flash-id", "read-mac"]  # and the board goes on
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    chip.set()
    code, said, err = flash_it(capsys, stock, "v1.img", "--dry-run")
    assert code == 0 and "everything on the board is destroyed" in said["words"]
    assert chip.verbs() == ["flash-id", "read-mac"] and chip.flash.read_bytes() == before
    assert main(["board", "flash", str(stock / "v1.img"), "--port", "/dev/ttyUSB7"]) == 0
    assert "version 1.0 is in ota_0" in capsys.readouterr().out.replace("\n", " ")


class Terminal:
    """A standard input that is a terminal, at which `text` is typed."""

    def __init__(self, text):
        self._lines = iter(text.splitlines(keepends=True))

    def isatty(self):
        return True

    def readline(self, *_):
        return next(self._lines, "")


def open_failure(what):
    return f"Could not open PORT, the port is busy or doesn't exist.\n({what})\n"


@pytest.mark.parametrize(
    "chip_is, code, text, hint",
    [
        ({"fails": open_failure("[Errno 2] could not open port PORT: [Errno 2] No such file or directory")}, 4,
         "there is no port /dev/ttyUSB7", "plug the board in"),
        ({"fails": open_failure("[Errno 13] could not open port PORT: [Errno 13] Permission denied: 'PORT'")}, 4,
         "may not be opened", "group"),
        ({"fails": open_failure("[Errno 11] Could not exclusively lock port PORT: [Errno 11] Resource temporarily ")}, 4,
         "/dev/ttyUSB7 is in use", "close the program"),
        ({"fails": open_failure("Could not configure port: (25, 'Inappropriate ioctl for device')")}, 4,
         "is no serial port", "mpremote devs"),
        ({"fails": "Failed to connect to Espressif device: No serial data received."}, 4, "no ESP32 answers", "BOOT"),
        ({"fails": "Something that nobody foresaw."}, 1, "esptool flash-id failed: Something that nobody foresaw.", ""),
        ({"chip": "ESP32-S3"}, 1, "has an ESP32-S3, and the image is for an ESP32", "the build for ESP32-S3"),
        ({"mb": 2}, 1, "2 MB of flash, and the image needs 4 MB", "4 MB are the least"),
    ],
)  # fmt: skip
def test_a_board_that_cannot_be_flashed(capsys, stock, chip, chip_is, code, text, hint):
    chip.set(**chip_is)
    before = chip.flash.read_bytes()
    for more in ((), ("--keep",)):
        found, said, err = flash_it(capsys, stock, "v1.img", "--yes", *more)
        assert (found, said["error"], said["hint"]) == (code, said["error"], said["hint"])
        assert text in said["error"] and hint in said["hint"], said
    assert chip.operations() == 0 and chip.flash.read_bytes() == before


def test_keep_of_nothing(capsys, stock, chip):
    code, said, err = flash_it(capsys, stock, "v1.img", "--yes", "--keep")
    assert code == 1 and "another partition table" in said["error"] and chip.operations() == 0
    assert chip.verbs()[-1] == "read-mac"


@pytest.mark.parametrize("name, text", [
    ("esp32-1.bin", "a build of MicroPython, not an image with Fargo in it"),
    ("release.pub", "no firmware image of an ESP32"),
    ("not-there", "No such file"),
    ("cut", "not a whole flash"),
    ("bad", "app and label do not agree"),
    ("worse", "is damaged"),
])  # fmt: skip
def test_an_image_that_is_none(capsys, stock, chip, name, text):
    data = bytearray((stock / "v1.img").read_bytes())
    (stock / "cut").write_bytes(data[:-4096])
    start, _ = board_image.read(stock / "v1.img").at["app_0"]
    data[start + 20] ^= 1
    (stock / "bad").write_bytes(data)
    data[0x10000 + 5000] ^= 1
    (stock / "worse").write_bytes(data)
    code, said, err = flash_it(capsys, stock, name, "--yes")
    assert code == 1 and text in said["error"] and chip.calls() == []


@pytest.mark.parametrize("more", [(), ("--keep",)])
def test_cut_and_flashed_again(capsys, stock, chip, more):
    """The cable is pulled in each of the steps; the same command then does it all."""
    assert flash_it(capsys, stock, "v1.img", "--yes")[0] == 0
    before = chip.flash.read_bytes()
    chip.set()
    assert flash_it(capsys, stock, "v2.img", "--yes", *more)[0] == 0
    whole, operations = chip.flash.read_bytes(), chip.operations()
    assert operations == len((chip.folder / "operations").read_text()) > 50
    for cut_at in (1, operations // 2, operations - 1):
        chip.flash.write_bytes(before)
        chip.set(cut_at=cut_at)
        code, said, err = flash_it(capsys, stock, "v2.img", "--yes", *more)
        assert code == 4 and "half flashed" in said["error"] and "flash it again" in said["hint"]
        assert chip.flash.read_bytes() != whole
        chip.set(cut_at=0)
        assert flash_it(capsys, stock, "v2.img", "--yes", *more)[0] == 0
        assert chip.flash.read_bytes() == whole


def test_without_esptool(capsys, stock, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said, err = flash_it(capsys, stock, "v1.img", "--yes")
    assert code == 2 and "the command esptool is missing" in said["error"] and "pip install" in said["hint"]


# Watching


class Device:
    """What a device prints, on a pseudo-terminal."""

    def __init__(self):
        self._ours, theirs = pty.openpty()
        self.port = os.ttyname(theirs)
        self._theirs = theirs

    def says(self, *lines):
        """Again and again: whoever opens a port throws away what had come before."""

        def work():
            for line in itertools.cycle(lines):
                os.write(self._ours, line)
                time.sleep(0.03)

        threading.Thread(target=work, daemon=True).start()


LIVE = [
    b"rst:0x1 (POWERON_RESET)\xff\xfe\r\n",
    b"info: Fargo, version 1.0 in ota_0\r\n",
    b"info: the network is joined as 192.0.2.7\r\ninfo: ser",
    b"ving\r\ninfo: update: idle\r\n",
]


def test_a_device_comes_up(capsys):
    device = Device()
    device.says(*LIVE)
    code = main(["board", "monitor", "--port", device.port, "--until", "serving", "--timeout", "20"])
    out = capsys.readouterr().out
    assert code == 0 and out.rstrip().endswith("info: serving") and out.count("serving") == 1


def test_as_json(capsys):
    device = Device()
    device.says(*LIVE)
    code, said, err = run(
        capsys,
        "board",
        "monitor",
        "--port",
        device.port,
        "--until",
        "serving",
        "--progress",
        "jsonl",
        "--timeout",
        "20",
    )
    lines = [json.loads(line) for line in err.splitlines()]
    assert code == 0 and said["line"] == "info: serving"
    assert lines[-1]["text"] == "info: serving" and lines[-1]["level"] == "info"
    assert all(line["level"] == "" for line in lines if "POWERON" in line["text"])


@pytest.mark.parametrize(
    "lines, hint",
    [
        ([b"rst:0x1\r\n"], "no line of Fargo has come"),
        (
            [b"info: Fargo, version 1.0 in ota_0\r\nprint: observing\r\ninfo: update: idle\r\n"],
            "fargo board provision",
        ),
        (
            [b"print: observing\r\ninfo: update: idle\r\n"],
            "--reset shows it from its start",
        ),  # it may have joined before
        ([b"info: the network is joined as 1\r\nwarning: observing\r\n"], "its last line was: "),
    ],
)
def test_a_device_does_not_come_up(capsys, lines, hint):
    device = Device()
    device.says(*lines)
    code, said, err = run(capsys, "board", "monitor", "--port", device.port, "--until", "serving", "--timeout", "2")
    assert code == 4 and "did not say 'serving' in 2 seconds" in said["error"] and hint in said["hint"]


def test_without_until_it_ends_when_told(capsys):
    device = Device()
    device.says(*LIVE)
    code, said, err = run(capsys, "board", "monitor", "--port", device.port, "--timeout", "0.5")
    assert code == 0 and said["line"] == ""


def test_it_is_stopped_from_the_keyboard():
    """Without --until that is the way to end it; with --until it has not come."""
    for more, code in ((), 0), (("--until", "never"), 130):
        device = Device()
        device.says(*LIVE)
        command = [sys.executable, "-m", "fargo.cli", "board", "monitor", "--port", device.port, *more]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT / "tools",
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # not as a background job has it
        ) as process:  # fmt: skip
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=30)[0]
        assert process.returncode == code and "Traceback" not in rest, rest
        assert ("interrupted" in rest) == (code == 130)


def test_flashing_is_stopped_from_the_keyboard(stock):
    class Tool:
        def erase(self, at, size):
            raise KeyboardInterrupt

    with pytest.raises(flasher.Failure, match="interrupted; the board is half flashed") as caught:
        flasher.carry_out(flasher.fresh(board_image.read(stock / "v1.img")), Tool(), print)
    assert caught.value.code == 130


def test_ports_that_cannot_be_watched(capsys, tmp_path):
    import serial

    code, said, err = run(capsys, "board", "monitor", "--port", tmp_path / "ttyUSB9")
    assert code == 4 and "there is no port" in said["error"]
    (tmp_path / "file").write_text("")
    code, said, err = run(capsys, "board", "monitor", "--port", tmp_path / "file")
    assert code == 4 and "is no serial port" in said["error"]
    device = Device()
    with serial.Serial(device.port, exclusive=True):
        code, said, err = run(capsys, "board", "monitor", "--port", device.port)
    assert code == 4 and "is in use" in said["error"]
    code, said, err = run(capsys, "board", "monitor", "--port", device.port, "--reset")
    assert code == 1 and "RESET button" in said["hint"]


# Emulators

QEMU = """#!/bin/sh
for a; do case $a in file=*) f=${a#file=}; f=${f%%,*};; esac; done
echo "$@" > "$0.arguments"
head -c 16 /dev/zero | dd of="$f" conv=notrunc 2>/dev/null
echo "ets Jul 29 2019"
echo "info: serving"
sleep 30
"""


def test_an_emulator_gets_a_copy(capsys, stock, tmp_path):
    """A stand-in for QEMU, which writes to the flash that it was given."""
    qemu = tmp_path / "qemu"
    qemu.write_text(QEMU)
    qemu.chmod(0o755)
    before = (stock / "s3.img").read_bytes()
    code, said, err = run(
        capsys, "board", "emulate", stock / "s3.img", "--qemu", qemu, "--until", "serving", "--option", "-icount",
        "--option", "3", "--timeout", "20",
    )  # fmt: skip
    assert code == 0 and said["line"] == "info: serving"
    assert (stock / "s3.img").read_bytes() == before
    arguments = (tmp_path / "qemu.arguments").read_text()
    assert "-machine esp32s3" in arguments and "if=mtd,format=raw" in arguments and arguments.endswith("-icount 3\n")
    qemu.write_text("#!/bin/sh\necho no such machine; exit 1\n")
    code, said, err = run(capsys, "board", "emulate", stock / "v1.img", "--qemu", qemu)
    assert code == 1 and "the emulator ended with exit code 1" in said["error"]
    code, said, err = run(capsys, "board", "emulate", stock / "v1.img", "--qemu", tmp_path / "none")
    assert code == 2 and "cannot be started" in said["error"] and "qemu-system-xtensa" in said["hint"]
