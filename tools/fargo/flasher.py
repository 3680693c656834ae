"""How an image gets into a board's flash: what is erased and written, in which order, so that a cut leaves no stale pair.

Fresh: the partition table is erased first and written last; without one the bootloader starts nothing. `--keep`: the
pair goes into the slot that would not be started now, whose first sectors are erased first and written last; then
`otadata` selects it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from esp_idf_defs.otadata import OtaDataSelectEntry, OtaImageState

from fargo import board_image, flash, official
from fargo.board_image import Image
from fargo.console import CONNECTION, INTERRUPTED, Failure
from fargo.esptool import Esptool

SECTOR = 4096
_MB = 1 << 20
_CONFIRMED = (OtaImageState.VALID, OtaImageState.UNDEFINED)
_TRIED_IN_VAIN = (OtaImageState.INVALID, OtaImageState.ABORTED)


@dataclass(frozen=True)
class Erase:
    """Erase `size` bytes from `at`."""

    at: int
    size: int


@dataclass(frozen=True)
class Write:
    """Write `parts` (offset, data). Their order means nothing: what has to come first is a step of its own."""

    parts: tuple[tuple[int, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(len(data) for _, data in self.parts)


Step = Erase | Write


@dataclass(frozen=True)
class Plan:
    """`steps`, one after the other. `slot` is what will run; `words` say what is destroyed and what is kept."""

    steps: tuple[Step, ...]
    slot: str
    words: str


def check_board(image: Image, chip: str, size: int, port: str) -> None:
    """Whether the image is for the chip (esptool's name) and fits its flash. Raises Failure."""
    wanted = official.CHIPS[image.chip].name
    if chip != wanted:
        raise Failure(
            f"the board on {port} has an {chip}, and the image is for an {wanted}",
            f"make an image from the build for {chip}"
            if chip in official.KNOWN
            else f"Fargo runs on {official.KNOWN}",
        )
    if size < len(image.data):
        raise Failure(
            f"the board on {port} has {size // _MB} MB of flash, and the image needs {len(image.data) // _MB} MB",
            f"make it with --layout {size // _MB}MB" if f"{size // _MB}MB" in flash.LAYOUTS else "4 MB are the least",
        )


def fresh(image: Image) -> Plan:
    """All that the image says, and nothing of what was there."""
    settings = image.at["nvs"][0]  # NVS and otadata follow the table
    first = image.at["ota_0"][0]
    rest = image.at["ota_1"][0]  # everything behind the first slot's firmware
    start, size = image.at["app_0"]
    parts = [
        _trimmed(image.bootloader_at, image.data[image.bootloader_at : flash.TABLE_AT]),
        _trimmed(first, image.part("ota_0")),
        _trimmed(image.at["vfs"][0], image.part("vfs")),
        _trimmed(start, image.part("app_0")[:-SECTOR]),
        (start + size - SECTOR, image.part("app_0")[-SECTOR:]),
    ]
    return Plan(
        (
            Erase(flash.TABLE_AT, SECTOR),
            Erase(settings, first - settings),
            Erase(rest, len(image.data) - rest),
            Write(tuple(parts)),
            Write(((flash.TABLE_AT, image.data[flash.TABLE_AT : flash.TABLE_AT + SECTOR]),)),
        ),
        "ota_0",
        "everything on the board is destroyed: both slots, its owner, credentials and settings, the WiFi's name and key,"
        f" the sequence floor, the app's files. Then version {image.version} is in ota_0, and the device has no owner.",
    )


def keep(image: Image, read: Callable[[int, int], bytes]) -> Plan:
    """The image's pair into the slot that would not be started now; `read(at, size)` reads the board's flash.

    Raises Failure when the board is no Fargo device of this layout.
    """
    table = image.data[flash.TABLE_AT : flash.TABLE_AT + SECTOR]
    if read(flash.TABLE_AT, SECTOR).rstrip(b"\xff") != table.rstrip(b"\xff"):
        raise Failure(
            "the board has another partition table than the image, so there is nothing that could be kept",
            "leave --keep out: everything on the board will be destroyed",
        )
    at = image.at["otadata"][0]
    otadata = read(at, 2 * SECTOR)
    kept, target, sector, sequence = choose(
        [OtaDataSelectEntry.from_bytes(otadata[n * SECTOR : n * SECTOR + 32]) for n in (0, 1)],
        lambda slot: read(image.at[f"ota_{slot}"][0], 1) == b"\xe9",
    )
    firmware, app = image.at[f"ota_{target}"][0], image.at[f"app_{target}"][0]
    from_firmware, from_app = _trimmed(firmware, image.part("ota_0"))[1], image.part("app_0")
    entry = OtaDataSelectEntry(sequence, OtaImageState.VALID).to_bytes().ljust(SECTOR, b"\xff")
    label = board_image.read_label(read(image.at[f"app_{kept}"][0] + len(from_app) - SECTOR, SECTOR))
    return Plan(
        (
            Erase(firmware, SECTOR),
            Erase(app, SECTOR),
            Write(((firmware + SECTOR, from_firmware[SECTOR:]), (app + SECTOR, from_app[SECTOR:]))),
            # The app first: where nothing else is selected, a slot is started as soon as its firmware is whole.
            Write(((app, from_app[:SECTOR]),)),
            Write(((firmware, from_firmware[:SECTOR]),)),
            Write(((at + sector * SECTOR, entry),)),
        ),
        f"ota_{target}",
        f"what is in slot ota_{target} is destroyed. Kept: ota_{kept} ({_described(label)}), the owner, credentials,"
        " settings, the WiFi's name and key, trust anchors, and the sequence floor."
        f" Then version {image.version} (sequence number {image.sequence}) runs from ota_{target}.{_older(image, label)}",
    )


def choose(entries: Sequence[OtaDataSelectEntry | None], starts: Callable[[int], bool]) -> tuple[int, int, int, int]:
    """(slot to keep, slot to write, sector of otadata to write, sequence to write there), from otadata's two entries.

    The slot to keep is what the newest confirmed entry selects. `starts(slot)`: whether something is in a slot.
    """
    held = [(entry.seq, n) for n, entry in enumerate(entries) if entry and entry.ota_state in _CONFIRMED]
    if held:
        newest, holder = max(held)
        kept, sector = (newest - 1) % 2, 1 - holder
        if not starts(kept) and starts(1 - kept):  # it is lost, and the bootloader starts the other
            kept = 1 - kept
    else:
        # Blank, or nothing in it was ever confirmed: the slot that is on its first trial is not the one to keep.
        doubted = [entry.ota_slot(2) for entry in entries if entry and entry.ota_state not in _TRIED_IN_VAIN]
        kept = 1 - doubted[0] if doubted else 0
        kept, sector = (kept if starts(kept) else 1 - kept), 0
    target = 1 - kept
    sequence = max([entry.seq for entry in entries if entry], default=0) + 1
    return kept, target, sector, sequence + (sequence - 1 - target) % 2


def carry_out(plan: Plan, tool: Esptool, progress: Callable[[int], None]) -> None:
    """Do all of it and start the board. `progress`: bytes written so far. Raises Failure, which says what to do then."""
    done = 0
    try:
        for step in plan.steps:
            if isinstance(step, Erase):
                tool.erase(step.at, step.size)
            else:
                before = done
                tool.write(step.parts, lambda count, before=before: progress(before + count))  # type: ignore[misc]
                done += step.size
    except (Failure, KeyboardInterrupt) as exc:
        failure = exc if isinstance(exc, Failure) else Failure("interrupted", code=INTERRUPTED)
        hint = f"{failure.hint}; then " if failure.hint else ""
        raise Failure(f"{failure.text}; the board is half flashed", f"{hint}flash it again", failure.code) from None
    try:
        tool.restart()
    except Failure as failure:
        raise Failure(f"flashed, but not restarted: {failure.text}", "press its RESET button", CONNECTION) from None


def size(plan: Plan) -> int:
    """Bytes that will be written."""
    return sum(step.size for step in plan.steps if isinstance(step, Write))


def _trimmed(at: int, data: bytes) -> tuple[int, bytes]:
    """What is to be written at `at`: whole sectors, without the blank ones at the end, which are erased."""
    data = data.rstrip(b"\xff")
    return at, data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\xff")


def _described(label: dict[str, object] | None) -> str:
    return f"version {label['version']}" if label else "nothing that says what it is"


def _older(image: Image, label: dict[str, object] | None) -> str:
    kept = label["seq"] if label else 0
    assert isinstance(kept, int)
    if image.sequence >= kept:
        return ""
    return (
        f" It is older than what runs now: the device will only take releases above sequence number {kept} after it."
    )
