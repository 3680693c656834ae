"""What goes into an app image: Fargo's device side, the board's file and the maker's app."""

from __future__ import annotations

from pathlib import Path

from fargo.console import Failure

ROOT = Path(__file__).resolve().parents[2]
_NOT_ON_THE_DEVICE = {"lib/port/_cpython.py", "lib/coap/client.py"}


def device_files(app: Path) -> dict[str, Path]:
    """Files of an app image: name in the image -> source file.

    `app` is the maker's folder, with an `app.py`. Raises Failure when there is none, or when it would hide a file of ours.
    """
    if not (app / "app.py").is_file():
        raise Failure(f"{app} has no app.py", "an app is a folder with app.py, which has `async def main(device)`")
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
    for path in sorted(app.rglob("*")):
        name = str(path.relative_to(app))
        if not path.is_file() or "__pycache__" in path.parts or name.startswith("."):
            continue
        if name in files:
            raise Failure(f"{path} would hide Fargo's own {name}", "rename it")
        files[name] = path
    return files
