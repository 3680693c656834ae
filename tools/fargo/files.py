"""Files of a release, written so that a server never hands out half of one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fargo.console import Failure


def write_named(folder: Path, data: bytes, suffix: str) -> tuple[bytes, str]:
    """Write `data` into `folder`, which is made, under its digest: (digest, name). Raises Failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}") from None
    digest = hashlib.sha256(data).digest()
    name = digest.hex()[:32] + suffix
    replace(folder / name, data)
    return digest, name


def replace(path: Path, data: bytes) -> None:
    """Write `path`, whole or not at all. Raises Failure."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
