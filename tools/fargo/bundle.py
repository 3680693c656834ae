"""What goes into an app image: Fargo's device side, the board's file and the maker's app."""

from __future__ import annotations

import functools
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from fargo import names, romfs
from fargo.console import Failure

ROOT = Path(__file__).resolve().parents[2]
_NOT_ON_THE_DEVICE = {"lib/port/_cpython.py", "lib/port/_inflate_cpython.py", "lib/coap/client.py"}
_OPEN_TO_APPS = frozenset(("ocf.resource", "firmware.node", "firmware.clock"))  # docs/app.md: whom an app calls


def app_image(files: Mapping[str, Path], march: str | None = None, keep_names: bool = False) -> bytes:
    """The app image of `files` (from `device_files`), compiled, Fargo's own with short names unless `keep_names`.

    With them a traceback of the device can be read, and its heap is larger by some 15 KB. Raises Failure.
    """
    if keep_names:
        return romfs.build(files, march)
    with tempfile.TemporaryDirectory() as folder:
        return romfs.build(shortened(files, Path(folder)), march)


def shortened(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """The same `files`, Fargo's own replaced by copies in `folder` whose private names are short."""
    found = dict(files)
    for name, text in _short(tuple((name, path, path.read_bytes()) for name, path in files.items() if _is_ours(name))):
        found[name] = folder / name
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_text(text)
    return found


@functools.lru_cache(4)
def _short(files: tuple[tuple[str, Path, bytes], ...]) -> list[tuple[str, str]]:
    sources = {names.module(name): text.decode() for name, _path, text in files}
    short = names.shorten(sources, _OPEN_TO_APPS)
    return [(name, short[names.module(name)]) for name, _path, _text in files]


def _is_ours(name: str) -> bool:
    """By its name in the image: a test may have put a changed file in its place."""
    base = ROOT if name.startswith("firmware/") else ROOT / "lib"
    return name in ("board.py", "board_start.py", "main.py") or name.endswith(".py") and (base / name).is_file()


def version() -> str:
    """Fargo's version: that of pyproject.toml, from which all other places have it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def own_files() -> dict[str, Path]:
    """Fargo's device side: name in an image -> source file."""
    files: dict[str, Path] = {}
    for package in ("lib", "firmware"):
        base = ROOT / package
        for path in sorted(base.rglob("*.py")):
            if str(path.relative_to(ROOT)) in _NOT_ON_THE_DEVICE:
                continue
            files[str(path.relative_to(ROOT / "lib" if package == "lib" else ROOT))] = path
    for name in ("board.py", "board_start.py"):
        files[name] = ROOT / "board/esp32" / name
    files["main.py"] = ROOT / "firmware/main.py"
    return files


def device_files(app: Path, frozen: bool = False) -> dict[str, Path]:
    """Files of an app image: name in the image -> source file.

    `app` is the maker's folder, with an `app.py`. `frozen`: for a firmware that has Fargo frozen in (board/README.md); of
    Fargo the image has `main.py` alone, which boot.py imports. Raises Failure when there is no app, or when it would hide
    a file of ours.
    """
    if not (app / "app.py").is_file():
        raise Failure(f"{app} has no app.py", "an app is a folder with app.py, which has `async def main(device)`")
    own = own_files()
    files = {"main.py": own["main.py"]} if frozen else dict(own)
    for path in sorted(app.rglob("*")):
        name = str(path.relative_to(app))
        if not path.is_file() or "__pycache__" in path.parts or name.startswith("."):
            continue
        if name in own:
            raise Failure(f"{path} would hide Fargo's own {name}", "rename it")
        files[name] = path
    return files
