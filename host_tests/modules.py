"""Which device module imports which, read from the source: what is resident, and what a phase brings into memory."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASES = (ROOT / "lib", ROOT / "board/esp32", ROOT)  # as an app image has them
ENTRY = "firmware.main"  # what boot.py starts
DESKTOP = {"port._cpython", "port._inflate_cpython"}


@functools.cache
def path_of(module: str) -> Path | None:
    """The source of a device module; None when it is the platform's."""
    for base in BASES:
        for path in (base / (module.replace(".", "/") + ".py"), base / module.replace(".", "/") / "__init__.py"):
            if path.exists() and "tools" not in path.parts:
                return path
    return None


@functools.cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of every import statement of a file, also those inside functions."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: relative import"
            yield node.module, node.lineno
            for alias in node.names:  # a module of a package is imported in the same way as a name in it
                if path_of(f"{node.module}.{alias.name}"):
                    yield f"{node.module}.{alias.name}", node.lineno


def phases(path: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of every module that a file brings in for a phase."""
    for node in _nodes(path):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "phase":
            for arg in node.args:
                assert isinstance(arg, ast.Constant), f"{path}:{node.lineno}: a phase is not named"
                yield arg.value, node.lineno


def closure(roots: Iterable[str]) -> set[str]:
    """The device modules that are in memory once `roots` were imported."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        module = todo.pop()
        path = path_of(module)
        if module in found or module in DESKTOP or path is None:
            continue
        found.add(module)
        todo += [module[:at] for at, letter in enumerate(module) if letter == "."]  # its packages
        todo += [name for name, _ in imports(path)]
    return found


def resident() -> set[str]:
    """What an idle device holds."""
    return closure([ENTRY])


def roots() -> set[str]:
    """Every module that is the root of a phase somewhere."""
    todo = list(resident())
    found: set[str] = set()
    while todo:
        path = path_of(todo.pop())
        assert path
        for root, _ in phases(path):
            if root not in found:
                found.add(root)
                todo += closure([root])
    return found
