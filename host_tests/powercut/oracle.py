"""What a flash file says when it is read from outside: nothing here asks the device.

The bootloader's rules are the simulated board's own (board/sim/bootloader.py); files are read by littlefs-python; what a
slot holds is compared byte for byte with what was released.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass, field
from typing import Any

import cbor2
from fargo.flash import BLOCK, table
from littlefs import LittleFSError
from sim.owned_rig import files_in

from board.sim import bootloader
from board.sim.flash import Flash

_OF_THE_UPDATE = ("/update", "/floor", "/clock", "/trial", "/chunks.", "/trust", "/nexttrust")
UNCONFIRMED = (bootloader.NEW, bootloader.PENDING)
# Records that are CBOR maps; once the first ones are there, they stay.
_LASTING = ("/update", "/floor", "/doxm", "/pstat")
_RECORDS = (*_LASTING, "/clock", "/trial", "/cred", "/acl2", "/sdi")


@dataclass
class Released:
    """One version as it may stand in a slot: both halves byte for byte, its sequence number, which version's app it has."""

    firmware: bytes
    app: bytes
    sequence: int
    app_of: str = ""


@dataclass
class Seen:
    """What is in a flash. `slot` would be started next; `state` is what otadata says of it then, None: nothing.

    `trying`: the slot that is armed or on trial; a start now would end its trial.
    """

    slot: str = ""
    trying: str = ""
    state: int | None = None
    version: str = ""  # "" when the slot holds nothing that was released
    files: dict[str, bytes] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    floors: tuple[int, int] = (0, 0)  # in `data` and in NVS
    mounted: bool = True

    @property
    def owner(self) -> dict[str, bytes]:
        """Files that are not the update's own; without what a power failure has left of newer ones."""
        return {
            name: data
            for name, data in self.files.items()
            if not name.startswith(_OF_THE_UPDATE) and not name.endswith(".new")
        }

    @property
    def trust(self) -> bytes | None:
        """The trust store that a release has brought."""
        return self.files.get("/trust")

    @property
    def owned(self) -> bool:
        """Whether somebody owns the Device."""
        return _map(self.files.get("/doxm")).get("owned") is True

    @property
    def dos(self) -> int | None:
        """The onboarding state that is recorded."""
        return _map(self.files.get("/pstat")).get("s")


class Image:
    """A flash file, looked at from outside."""

    def __init__(self, data: bytes, layout: str, released: dict[str, Released]) -> None:
        self.data = data
        self.released = released
        self.rows = {row.name: row for row in table(layout)}

    def partition(self, name: str) -> bytes:
        """The bytes of a partition."""
        row = self.rows[name]
        return self.data[row.offset : row.offset + row.size]

    def look(self) -> Seen:
        """All that can be seen."""
        seen = Seen()
        flash = Flash(io.BytesIO(self.data), {}, lambda _why: None)  # a copy: starting writes to otadata
        otadata = bootloader.OtaData(flash, bootloader.partitions(flash))
        active = otadata.active()
        if active is not None and otadata.entries()[active][1] in UNCONFIRMED:
            seen.trying = otadata.slot(active)[4]
        entry = bootloader.choose(flash, lambda _text: None)
        if entry:
            seen.slot = entry[4]
            active = otadata.active()
            if active is not None and otadata.slot(active)[4] == seen.slot:
                seen.state = otadata.entries()[active][1]
            seen.version = self.version(seen.slot)
        try:
            seen.files = self.files()
        except LittleFSError:
            seen.mounted = False
        seen.record = _record(seen.files)
        seen.floors = _map(seen.files.get("/floor")).get("seq", 0), self._nvs_floor()
        return seen

    def version(self, slot: str) -> str:
        """Which version `slot` holds, byte for byte, label included; "" when none."""
        firmware, app = self.partition(slot), self.partition("app" + slot[3:])
        for name, pair in self.released.items():
            if firmware.startswith(pair.firmware) and app.startswith(pair.app) and self.label(slot) == pair.sequence:
                return name
        return ""

    def label(self, slot: str) -> int:
        """The sequence number in the label of `slot`, 0 when it has none."""
        return int(_map(self.partition("app" + slot[3:])[-BLOCK:]).get("seq", 0))

    def looks_whole(self, slot: str) -> bool:
        """Whether the bootloader and boot.py would look any further: both first bytes and the label are there."""
        firmware, app = self.partition(slot), self.partition("app" + slot[3:])
        return firmware[:1] == b"\xe9" and app[:3] == b"\xd2\xcd\x31" and self.label(slot) > 0

    def nearly(self, slot: str) -> bool:
        """Whether `slot` is a released version but for the first sector of its firmware, which is written last."""
        firmware, app = self.partition(slot), self.partition("app" + slot[3:])
        return any(
            firmware[BLOCK : len(pair.firmware)] == pair.firmware[BLOCK:]
            and app.startswith(pair.app)
            and self.label(slot) == pair.sequence
            for pair in self.released.values()
        )

    def record(self) -> dict[str, Any]:
        """The record of the update; without one, and without a file system, an empty one."""
        try:
            return _record(self.files())
        except LittleFSError:
            return {}

    def files(self) -> dict[str, bytes]:
        """All files of `data`: path -> content. Raises LittleFSError when it cannot be mounted."""
        return dict(_files(self.partition("data")))

    def _nvs_floor(self) -> int:
        """The copy of the sequence floor, in the simulated board's own format of NVS (board/sim/esp32.py)."""
        data = self.partition("nvs")
        at = data.rfind(b"fargofloorb")
        while at > 0 and data[at + 19 : at + 20] != b"\x5a":  # its end was not written
            at = data.rfind(b"fargofloorb", 0, at)
        return int.from_bytes(data[at + 11 : at + 19], "big") if at > 0 else 0

    def wrong_at_any_time(self) -> list[str]:
        """What must not be in any state of the flash, not even between two operations."""
        problems = []
        seen = self.look()
        if not seen.slot:
            problems.append("the bootloader has nothing to start")
        elif not seen.version:
            problems.append(f"{seen.slot} would be started, and holds nothing that was released")
        for slot in ("ota_0", "ota_1"):
            if self.looks_whole(slot) and not self.nearly(slot):
                problems.append(f"{slot} looks whole and is not")
        if seen.trying and seen.record and seen.record.get("state") != "upgrading":
            problems.append(f"{seen.trying} is armed in state {seen.record.get('state')}")
        running = self.released[seen.version].sequence if seen.version else 0
        if seen.state in UNCONFIRMED and max(seen.floors) >= running > 1 or max(seen.floors) > running > 0:
            problems.append(f"the floor was raised to {max(seen.floors)} by a version that is not confirmed")
        half = [name for name in _RECORDS if name in seen.files and not _map(seen.files[name])]
        problems += [f"{name} is half a record" for name in half]
        return problems

    def lost(self, before: Seen) -> list[str]:
        """Records that were there `before` and are not any more, though nothing ever removes them."""
        try:
            files = self.files()
        except LittleFSError:
            return ["data cannot be mounted"] if before.mounted else []
        return [f"{name} is gone" for name in _LASTING if name in before.files and name not in files]


@functools.lru_cache(64)  # most operations are on slots, and each state is asked several times
def _files(data: bytes) -> dict[str, bytes]:
    return files_in(data)


def mixed(lines: list[str], released: dict[str, Released]) -> list[str]:
    """Starts in which the app of another version ran than belongs to the running slot's: what the app itself has logged."""
    problems = []
    version = ""
    for line in lines:
        if "Fargo, version " in line:
            version = line.split("Fargo, version ")[1].split()[0]
        elif "the app of " in line and version in released:
            app = line.split("the app of ")[1]
            if app != released[version].app_of:
                problems.append(f"{version} ran, and the app of {app}")
    return problems


def _record(files: dict[str, bytes]) -> dict[str, Any]:
    """The record without what tells only when it was written."""
    return {name: value for name, value in _map(files.get("/update")).items() if name not in ("slot", "tries")}


def _map(data: bytes | None) -> dict[Any, Any]:
    try:
        found = cbor2.CBORDecoder(io.BytesIO(data or b"")).decode()
    except (cbor2.CBORError, ValueError, EOFError):
        return {}
    return found if isinstance(found, dict) else {}
