"""`fargo sim`: what it refuses before anything runs. What runs is in host_tests/sim/test_guides_run.py."""

import json
import socket

from fargo import board_image, official
from fargo.cli import main


def run(capsys, *arguments):
    """(exit code, what it printed as JSON)."""
    code = main(["sim", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_stands_for_micropython_is_a_build_that_boards_can_be_made_of(tmp_path, capsys):
    path = tmp_path / "build/simulated.bin"
    assert run(capsys, "firmware", path, "--dry-run") == (0, {"would_write": str(path)})
    assert not path.exists()
    assert run(capsys, "firmware", path)[0] == 0
    build = official.read(path)
    board_image.check_build(build, "4MB", str(path))
    assert (build.version, build.parts.chip) == ("1.27.0", "esp32")


def test_an_address_that_is_taken(tmp_path, capsys):
    flash = tmp_path / "flash"
    flash.write_bytes(b"a flash")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.7.250.250", 5683))
        code, failed = run(capsys, "run", flash, "--address", "127.7.250.250")
    assert code == 2 and "cannot be used" in failed["error"] and "--address" in failed["hint"]
    assert run(capsys, "run", flash, "--address", "nowhere.invalid")[0] == 2


def test_a_file_is_not_replaced_by_a_serial_port(tmp_path, capsys):
    flash = tmp_path / "flash"
    flash.write_bytes(b"a flash")
    code, failed = run(capsys, "run", flash, "--address", "127.7.250.251", "--usb", flash)
    assert code == 2 and "--usb" in failed["hint"] and flash.read_bytes() == b"a flash"
