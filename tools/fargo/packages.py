"""`make mip`: the package.json files that MicroPython's `mip install` reads, made from what is in the folders.

The root's is the whole device side, as an app image has it without the app; `coap`, `cbor` and `dtls` come alone, with the
packages that they import. Every library's list is there twice: as `lib/coap/package.json`, which `mip` finds by the
folder's name, and as `lib/coap.json`, in which no address climbs with `..`: `mip` leaves it to the server to resolve that,
and not every server does.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from fargo.bundle import ROOT, own_files, version

ALONE = ("cbor", "coap", "dtls")
_DESKTOP = "_cpython.py"


def needs(package: str) -> list[str]:
    """A library and the libraries that it imports, directly or through others."""
    found: set[str] = set()
    todo = [package]
    while todo:
        name = todo.pop()
        if name not in found and (ROOT / "lib" / name / "__init__.py").exists():
            found.add(name)
            todo += [top for path in (ROOT / "lib" / name).rglob("*.py") for top in _imports(path)]
    return sorted(found)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def library_files(package: str) -> list[str]:
    """What is installed of a library and of what it needs: paths relative to `lib`."""
    found = (path for name in needs(package) for path in (ROOT / "lib" / name).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT / "lib")) for path in found if not path.name.endswith(_DESKTOP))


def packages() -> dict[Path, str]:
    """Every package.json: where it is, and its text."""
    found = {ROOT / "package.json": _text([(name, str(path.relative_to(ROOT))) for name, path in own_files().items()])}
    for package in ALONE:
        files = library_files(package)
        found[ROOT / "lib" / f"{package}.json"] = _text([(name, name) for name in files])
        found[ROOT / "lib" / package / "package.json"] = _text([(name, _from(package, name)) for name in files])
    return found


def _from(package: str, name: str) -> str:
    """The address of a file, seen from the folder of `package`."""
    return name.removeprefix(package + "/") if name.startswith(package + "/") else "../" + name


def _text(urls: list[tuple[str, str]]) -> str:
    lines = ",\n".join("  " + json.dumps(pair) for pair in sorted(urls))
    return f'{{"urls": [\n{lines}\n ],\n "deps": [],\n "version": {json.dumps(version())}\n}}\n'


def main() -> int:
    """Write them."""
    for path, text in packages().items():
        path.write_text(text)
    print(f"{len(packages())} files, version {version()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
