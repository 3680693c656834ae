"""The PIN that a device shows on its serial line while somebody wants to own it by one, as text and as a QR code."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import segno

from fargo.console import Failure

_LINE = re.compile(r"the PIN of this device is (\d{8})$")


def find(line: str) -> str | None:
    """The PIN in a line of a device's log, or None."""
    found = _LINE.search(line)
    return found[1] if found else None


def picture(pin: str) -> str:
    """A QR code of the PIN, in characters for a terminal of either colour."""
    text = io.StringIO()
    segno.make(pin, micro=False).terminal(text, compact=True)
    return text.getvalue()


def check(path: Path) -> None:
    """Whether there can be a drawing: before the PIN comes, for a device shows it once. Raises Failure."""
    if not path.parent.is_dir():
        raise Failure(f"{path}: No such file or directory")
    if path.exists():
        raise Failure(f"{path}: File exists", "give another name: what was drawn is not overwritten")


def draw(pin: str, path: Path) -> None:
    """The same as an SVG file, to be printed; only its owner can read it. Raises Failure when there is a file already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        segno.make(pin, micro=False).save(file, kind="svg", scale=8)
