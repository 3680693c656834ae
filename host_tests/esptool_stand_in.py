"""A stand-in for the command `esptool`: a chip whose flash is a file, which fails as the real one does.

What it prints is copied in form from esptool 5.6: the lines that Fargo reads. It erases and writes sectors one by one,
in the order of their addresses, as esptool does; it can lose the power at any of these operations, half-way through.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

_SCRIPT = r"""#!PYTHON -ESs
import json, os, sys
home = os.path.dirname(os.path.abspath(__file__))
with open(home + "/chip.json") as file:
    chip = json.load(file)
arguments = sys.argv[1:]
with open(home + "/calls", "a") as file:
    file.write(json.dumps(arguments) + "\n")
port = arguments[arguments.index("--port") + 1]
verbs = {"flash-id", "read-flash", "erase-region", "write-flash", "read-mac"}
verb = next(a for a in arguments if a in verbs)
rest = arguments[arguments.index(verb) + 1 :]
print("esptool v5.6.0\nSerial port %s:" % port)
if chip["fails"]:
    print("\nERROR: A fatal error occurred: " + chip["fails"].replace("PORT", port), file=sys.stderr)
    sys.exit(2)
print("Connecting....\nConnected to %s on %s:" % (chip["chip"], port))
print("Chip type:          %s (revision v3.1)" % chip["chip"])
flash = open(chip["flash"], "r+b")

def done():
    with open(home + "/operations", "a+") as file:
        file.seek(0)
        n = len(file.read()) + 1
        file.write(".")
    if n == chip["cut_at"]:
        return False
    return True

def operation(at, data):
    whole = done()
    flash.seek(at)
    flash.write(data if whole else data[: len(data) // 2])
    if not whole:
        print("\nERROR: A serial exception error occurred: device disconnected", file=sys.stderr)
        sys.exit(1)

if verb == "flash-id":
    print("Flash Memory Information:\nManufacturer: 5e\nDevice: 4016\nDetected flash size: %dMB" % chip["mb"])
elif verb == "read-flash":
    at, size, path = int(rest[-3], 0), int(rest[-2], 0), rest[-1]
    flash.seek(at)
    with open(path, "wb") as file:
        file.write(flash.read(size))
elif verb == "erase-region":
    at, size = int(rest[0], 0), int(rest[1], 0)
    assert at % 4096 == size % 4096 == 0
    for sector in range(at, at + size, 4096):
        operation(sector, b"\xff" * 4096)
elif verb == "write-flash":
    while rest[0].startswith("--"):
        assert rest[1] == "keep", rest
        rest = rest[2:]
    for at, path in sorted(zip([int(a, 0) for a in rest[::2]], rest[1::2])):
        with open(path, "rb") as file:
            data = file.read()
        data += b"\xff" * (-len(data) % 4096)
        assert at % 4096 == 0
        for start in range(0, len(data), 4096):
            print("Writing at 0x%08x [=====>    ]  50.0%% 4096/8192 bytes..." % (at + start))
            operation(at + start, b"\xff" * 4096)
            operation(at + start, data[start : start + 4096])
        print("Hash of data verified.")
"""


class StandIn:
    """The command `esptool` in `folder`, to be put on PATH; its chip's flash is the file `flash`.

    `cut_at`: the operation (an erased or a programmed sector, counted from 1) at which the power fails. `fails`: what it
    says at once, with PORT in the place of the port.
    """

    def __init__(self, folder: Path, size: int = 4 << 20) -> None:
        self.folder = folder
        folder.mkdir()
        self.flash = folder / "flash"
        self.flash.write_bytes(os.urandom(4096) * (size // 4096))
        self._chip: dict[str, Any] = {"flash": str(self.flash), "chip": "ESP32", "mb": 4, "cut_at": 0, "fails": ""}
        command = folder / "esptool"
        command.write_text(_SCRIPT.replace("PYTHON", sys.executable, 1))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        self.set()

    def set(self, **values: Any) -> None:
        """Change the chip; what was counted begins anew."""
        self._chip |= values
        (self.folder / "chip.json").write_text(json.dumps(self._chip))
        (self.folder / "calls").write_text("")
        (self.folder / "operations").write_text("")

    def calls(self) -> list[list[str]]:
        """The arguments of all calls."""
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def verbs(self) -> list[str]:
        """The verb of every call."""
        verbs = ("flash-id", "read-flash", "erase-region", "write-flash", "read-mac")
        return [next(a for a in call if a in verbs) for call in self.calls()]

    def operations(self) -> int:
        """How many sectors were erased or programmed."""
        return len((self.folder / "operations").read_text())
