"""`fargo sim run`: the board as a command."""

import subprocess
import sys

from fargo.cli import main
from loopback import address


def test_a_flash_is_of_one_board(tmp_path, capsys):
    """Two that wrote to one file would damage it. When the first has ended, the next may have it."""
    flash = tmp_path / "flash.bin"
    flash.write_bytes(b"\xff" * (4 << 20))
    usb, other = tmp_path / "port", tmp_path / "other"
    command = [sys.executable, "-m", "fargo.cli", "sim", "run", str(flash), "--address", address(), "--usb", str(usb)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        try:
            assert first.stderr and "serial port" in first.stderr.readline()
            again = ["sim", "run", str(flash), "--address", address(), "--timeout", "1", "--usb"]
            for link in (usb, other):
                assert main([*again, str(link)]) == 2
                assert f"{flash} is the flash of another simulated board" in capsys.readouterr().err
            assert usb.exists() and not other.is_symlink(), "the first one's port is left to it"
        finally:
            first.kill()
    assert main([*again, str(other)]) == 0
