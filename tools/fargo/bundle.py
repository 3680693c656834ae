"""What goes into an app image: Fargo's device side, the board's file and the maker's app.

Fargo's own sources get short names there (`flat.py`, `names.py`), those that are always in memory together become one
(`groups.py`, `link.py`), and what that need not carry is left out (`slim.py`).
"""

from __future__ import annotations

import ast
import functools
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from fargo import flat, groups, known, leave, link, names, romfs, slim, texts
from fargo.console import Failure

_Answer = TypeVar("_Answer")
ROOT = Path(__file__).resolve().parents[2]
_NOT_ON_THE_DEVICE = {"lib/port/_cpython.py", "lib/port/_inflate_cpython.py", "lib/coap/client.py"}
# What a phase has made of it outlives the phase, and keeps alive all that is in one module with it.
_ALONE = frozenset(("port._stream_micropython",))
# docs/app.md: whom an app calls, what it may import, and what it is given. What else its source mentions stays, too.
_OPEN_TO_APPS = frozenset(("ocf.resource", "firmware.node", "firmware.clock"))
_IMPORTED = frozenset(("ocf.resource", "ocf.update"))
_ENTRY = "main"
_OCF = ("Property", "Resource")
_ALSO = {"ocf": _OCF, "ocf.resource": (*_OCF, "Refused")}  # by which names apps import what is resident
_GIVEN = frozenset(("add", "log", "data", "clock", "now", "set", "version"))


def app_image(files: Mapping[str, Path], march: str | None = None, keep_names: bool = False) -> bytes:
    """The app image of `files` (from `device_files`), compiled, Fargo's own with short names unless `keep_names`.

    With them a traceback of the device can be read, and its heap is larger by some 15 KB. Raises Failure.
    """
    if keep_names:
        return romfs.build(files, march)
    with tempfile.TemporaryDirectory() as folder:
        return romfs.build(shortened(files, Path(folder)), march)


def shortened(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """The same `files`, Fargo's own replaced by copies in `folder` that have short names, and are few.

    Raises Failure when the app has a file of such a name, or what is Fargo's cannot be linked.
    """
    found = {name: path for name, path in files.items() if not _is_ours(name)}
    others = dict(found)
    for linked in _linked(files):
        for other, path in others.items():
            _keep_apart(path, other, linked.path)
        found[linked.path] = folder / linked.path
        found[linked.path].parent.mkdir(parents=True, exist_ok=True)
        text = linked.text
        if known.MODULE in linked.modules:
            text = known.extend(
                text, [_asked(ast.parse, name, path) for name, path in others.items() if name.endswith(".py")]
            )
        found[linked.path].write_text(text)
    return found


def joined(files: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """What each of Fargo's modules in an image was made of: name in the image -> modules, in the order in which they run."""
    return {flat.module(linked.path): linked.modules for linked in _linked(files)}


def _linked(files: Mapping[str, Path]) -> list[_Linked]:
    return _short(*_asked_for(files))


def _asked_for(files: Mapping[str, Path]) -> tuple[tuple[tuple[str, bytes], ...], frozenset[str], frozenset[str]]:
    """(Fargo's own of `files`, what the app mentions, what it may import)."""
    mentioned = {*_GIVEN, *_IMPORTED}
    imported = set(_IMPORTED)
    for name, path in files.items():
        if not _is_ours(name):
            mentioned |= set(flat.module(name).split("."))
        if name.endswith(".py") and not _is_ours(name):
            mentioned |= _asked(names.mentions, name, path)
            imported |= _asked(names.imported, name, path)
    sources = tuple((name, path.read_bytes()) for name, path in files.items() if _is_ours(name))
    modules = [flat.module(name) for name, _text in sources]
    text = "\n".join((*modules, *(text.decode() for _name, text in sources)))
    # What else an app says has no part in this: apps that differ in nothing more get the very same code.
    mentioned = {name for name in mentioned if name in text or len(name) <= names.LONGEST}
    return sources, frozenset(mentioned), frozenset(imported.intersection(modules))


def _keep_apart(path: Path, name: str, own: str) -> None:
    """Refuse the app's `path`, `name` in the image, when it or Fargo's `own` file could not be imported any more."""
    code = name.endswith((".py", ".mpy")) and own.endswith(".py")
    if name == own or code and flat.module(name) == flat.module(own):
        raise Failure(f"{path} would hide Fargo's own {own}", "rename it")


def _asked(question: Callable[[str], _Answer], name: str, path: Path) -> _Answer:
    try:
        return question(path.read_text())
    except SyntaxError as error:
        raise Failure(f"{name} of the app is no Python: {error}") from error


class _Flat(NamedTuple):
    trees: dict[str, ast.Module]
    called: dict[str, str]  # module -> its short name
    groups: dict[str, list[str]]
    apart: set[str]
    public: set[str]  # names that apps have without mentioning them


class _Linked(NamedTuple):
    path: str  # in the image
    text: str
    modules: tuple[str, ...]  # what it was made of, in the order in which they run


def _flat(files: tuple[tuple[str, bytes], ...], mentioned: frozenset[str], imported: frozenset[str]) -> _Flat:
    new = flat.called([flat.module(name) for name, _text in files], mentioned)
    trees = {new[flat.module(name)]: flat.flatten(leave.leave(ast.parse(text)), new) for name, text in files}
    for name in [name for name, tree in trees.items() if flat.is_bare(tree)]:
        if not any(other.startswith(name + ".") for other in trees):  # nobody imports it any more
            del trees[name]
    apart = {new[name] for name in imported & set(new) - {_ENTRY, *_ALSO}} & set(trees)
    joined = groups.groups(
        trees, _ENTRY, apart, {new[name] for name in _ALONE & set(new)}
    )  # while phases are still called so
    public = [short for name, short in new.items() if name.split(".")[0] in ("board", "board_start", "port")]
    documented = {
        name for module in [*public, *_ALSO] if module in trees for name in names.public_names(trees[module])
    }
    for name in _OPEN_TO_APPS & set(new):
        names.keep_parameters(trees[new[name]])
    return _Flat(trees, new, joined, apart, documented)


@functools.lru_cache(4)
def _short(files: tuple[tuple[str, bytes], ...], mentioned: frozenset[str], imported: frozenset[str]) -> list[_Linked]:
    trees, new, joined, apart, public = _flat(files, mentioned, imported)
    also = {name: documented for name, documented in _ALSO.items() if name in joined[_ENTRY]}
    old = {short: name for name, short in new.items()}
    paths = {new[flat.module(name)]: name for name, _text in files}
    found = []
    linked = link.link(trees, joined, _ENTRY, mentioned, apart, also)
    again = names.recall(linked, mentioned)  # those that are left are few
    names.rename(linked, public, mentioned)
    texts.apart(linked, {_ENTRY, *mentioned}, mentioned)
    known.fill(linked, {old[module]: name for name in linked for module in joined[again[name]]}, _ENTRY)
    for name, tree in linked.items():
        before = again[name]
        path = paths[before] if flat.module(paths[before]) == name else name + ".py"
        found.append(
            _Linked(
                path, ast.unparse(slim.slim(tree, before == _ENTRY)), tuple(old[module] for module in joined[before])
            )
        )
    return found


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
        for other in own:
            _keep_apart(path, name, other)
        files[name] = path
    return files
