"""The ESP32's own board.py on the simulated chip."""

import os

import pytest
from fargo import flash, image, romfs
from fargo.bundle import ROOT
from loopback import address

from board.sim.simboard import SimBoard

DATA, NVS = 0xC0000, 0x9000

MAIN = """
import asyncio, time
import board_start
from board import Board
from swupdate import arming
from swupdate.slots import Slots

def error(function, *args):
    try:
        return function(*args)
    except OSError as e:
        return e.args

async def act(b):
    print("= cause", board_start.reset_cause())
    print("=", b.running(), b.partition("otadata").info()[4], b.partition("app_1").info()[4], error(b.partition, "none"))
    print("= clock", b.rtc())
    b.set_rtc(1893456789)
    print("= clock", b.rtc() - 1893456789)
    root = board_start.mount_data(b)
    try:
        print("=", open(root + "/note").read())
    except OSError:
        print("= no note")
    with open(root + "/note", "w") as f:
        f.write("kept")
    n = board_start.nvs()
    n.set_blob("floor", bytes(8)); n.commit()
    print("=", b.joined)
    try:
        await asyncio.wait_for(b.join(), 5)
        print("=", b.joined, b.address(), b.dns())
    except asyncio.TimeoutError:
        print("= no network")
    s = Slots(b)
    print("=", s.running, s.confirmed, s.state("ota_0"), error(arming.confirm, s))
    print("=", b.partition("ota_1") is b.partition("ota_1"), error(b.partition("ota_1").set_boot))
    b.watchdog(30000).feed()
    print("= end")
    if board_start.reset_cause() == "power":
        b.reset()
    b.watchdog(200)
    while board_start.reset_cause() == "reset":
        pass

def run():
    asyncio.run(act(Board()))
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An app image with the board's class."""
    main = tmp_path_factory.mktemp("app") / "main.py"
    main.write_text(MAIN)
    files = {"main.py": main, **{name: ROOT / "board/esp32" / name for name in ("board.py", "board_start.py")}}
    for package in ("port", "cbor"):
        for path in (ROOT / "lib" / package).glob("*.py"):
            if path.name != "_cpython.py":
                files[f"{package}/{path.name}"] = path
    for name in ("__init__", "slots", "otadata", "faults", "arming"):
        files[f"swupdate/{name}.py"] = ROOT / f"lib/swupdate/{name}.py"
    return romfs.build(files)


def desk(folder, app, **options):
    path = folder / "flash"
    flash.build_flash(path, "small", image.build_image("1", size=4096), app, b"", {"v": 1}, **options)
    return SimBoard(path, address=address(), flash_ms=(0, 0))


def said(board, start=0):
    return [line[2:] for line in board.lines[start:] if line.startswith("= ")]


def test_all_of_it(tmp_path, app):
    board = desk(tmp_path, app)
    with board:
        board.wait_log("= cause watchdog")
        lives = " | ".join(said(board)).split(" | end | ")
        first, second = (life.split(" | ") for life in lives[:2])
        assert first == [
            "cause power",
            "ota_0 otadata app_1 (2, 'none')",
            "clock 0",
            "clock 0",
            "no note",
            "False",
            f"True {board.address} 127.0.0.1",
            "ota_0 True 2 None",
            "True (-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')",
        ]
        assert second[0] == "cause reset" and second[4] == "kept"
        assert 1893456789 <= int(second[2].split()[1]) < 1893456889
        assert board.resets[:3] == ["power", "reset", "watchdog"]
    start = len(board.lines)
    with board:
        board.wait_log("= clock", start=start)
        assert said(board, start)[2] == "clock 0", "without power the time is lost"


def test_without_credentials_there_is_no_network(tmp_path, app):
    with desk(tmp_path, app, wifi=None) as board:
        board.wait_log("= no network")


def test_data_that_cannot_be_mounted_is_formatted(tmp_path, app):
    board = desk(tmp_path, app)
    content = bytearray(board.flash_path.read_bytes())
    content[DATA : DATA + 0x20000] = os.urandom(0x20000)
    board.flash_path.write_bytes(content)
    with board:
        board.wait_log("= no note")
        board.wait_log("= end")
        board.wait_log("= kept")
