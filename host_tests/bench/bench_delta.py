"""What a delta costs: pairs of builds and a line of the demo's app, and what detools makes of the same.

Prints JSON lines. Bytes do not depend on the machine, so once is enough.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("lib", "tools", "host_tests", ".")] + [str(HERE)]

import peers  # noqa: E402
from fargo import bundle, delta  # noqa: E402

LAMP = ROOT / "examples/lamp"
# A line of the demo's app: what it has -> (text, what is in its place). Fargo's own code is in the image as well, where
# what the app names or imports keeps its name, or is a module of its own: such a line changes that too.
LINES = {
    "a text": ('"the lamp is at /lamp"', '"the lamp can be switched at /lamp"'),
    "the first with a name of Fargo's (request)": ("beats = 0\n", "beats = request = 0\n"),
    "the first import of a module of Fargo's (port)": (
        "import asyncio\n",
        "import asyncio\nfrom port import ticks_ms\n",
    ),
}


def cost(old: bytes, new: bytes) -> int:
    """Bytes of our delta, windows and their lengths, which is inflated and compared."""
    windows = delta.encode(new, old)
    assert delta.decode(windows, len(new), old) == new
    return sum(map(len, windows)) + len(delta.lengths(windows))


def theirs(old: bytes, new: bytes, compression: str) -> int:
    """Bytes of detools' sequential patch by bsdiff."""
    import detools

    patch = io.BytesIO()
    detools.create_patch(io.BytesIO(old), io.BytesIO(new), patch, compression=compression, patch_type="sequential")
    return len(patch.getvalue())


def app(change: tuple[str, str] | None = None) -> bytes:
    """The app image of the demo, with a line of its app.py replaced."""
    files = bundle.device_files(LAMP)
    with tempfile.TemporaryDirectory() as folder:
        if change:
            text = files["app.py"].read_text()
            assert text.count(change[0]) == 1, f"not once in the app: {change[0]}"
            files["app.py"] = Path(folder) / "app.py"
            files["app.py"].write_text(text.replace(*change))
        return bundle.app_image(files)


def main() -> None:
    """The command."""
    there = peers.use()
    for name in peers.PAIRS:
        found: dict[str, object] = {"bench": "delta_pair", "pair": name}
        if there:
            old, new = peers.pair(name)
            found |= {"base": len(old), "bytes": len(new), "delta": cost(old, new)}
            for compression in ("heatshrink", "lzma"):
                found[f"detools_{compression}"] = theirs(old, new, compression)
        else:
            found["missing"] = peers.HOW
        print(json.dumps(found))
    before = app()
    for line, change in LINES.items():
        after = app(change)
        print(json.dumps({"bench": "delta_line", "line": line, "bytes": len(after), "delta": cost(before, after)}))


if __name__ == "__main__":
    main()
