"""What goes into an app image: Fargo's device side, the board's file and the maker's app."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fargo.console import Failure

ROOT = Path(__file__).resolve().parents[2]
_NOT_ON_THE_DEVICE = {"lib/port/_cpython.py", "lib/coap/client.py"}


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
    files["board.py"] = ROOT / "board/esp32/board.py"
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
