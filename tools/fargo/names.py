"""Shortens the names of device code before it is compiled: MicroPython keeps every name in memory, for ever.

A name costs a chip 8 bytes and its letters as soon as any module that has it was loaded once. Names are of no use to
the device, so those that only Fargo's own code knows become short:

* private ones (`_name`) and those of functions, classes and values of a module become `_0`, `_1` and so on, the same ones
  again wherever they cannot meet;
* public ones of objects become `a0`, `a1` and so on, each another;
* the parameters of functions become single letters.

What MicroPython has, strings, what callers give by keyword, errors' names and what apps use stay as they are.
All of Fargo's modules are renamed together, and the result depends on their text and the app's alone.
"""

from __future__ import annotations

import ast
import builtins
import re
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

_PRIVATE = re.compile(r"_[a-zA-Z][a-zA-Z0-9_]*$")
_PUBLIC = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{2,}$")
_DIGITS = string.digits + string.ascii_letters
_BUILTIN = frozenset(dir(builtins))
# Public names that MicroPython's own objects have as well, and those of the chip's modules.
_PLATFORM = """
accept access active add append args array broken buffer bytecode bytes_sent cancel cert clear clock close
closed code collect compression connect content context copy core coroutines count data decode decoder delete
digest done dumps empty encode encoder Encoder encoding end error event expected extra failed feed fields file find
float flush format full function get getvalue group handle host hostname index info install ioctl item items
join keys last level lines load log major map message method mode mount name new notify offset on open options
outer pack partition path pending phase Pin platform post print_exception put random range read readable
readblocks readinto readline reason register remove request requests reset reset_cause result run seed seek
self send session set sign size sleep_ms source split start state status statvfs step stop stream sync take
target tasks tell threshold Timeout Timer times title total transport true type umount unpack update urandom
urls used value values verify_mode version wait wait_for waiter waiting when width write writeblocks
"""


def shorten(
    trees: Mapping[str, ast.Module],
    open_to_apps: Iterable[str] = (),
    public: Iterable[str] = (),
    mentioned: Collection[str] = (),
) -> dict[str, str]:
    """The text of the modules `trees`, which are changed, with short names.

    The parameters of modules `open_to_apps` stay: apps may give them by keyword. So do all names that `public` modules
    have, but for private ones, and those that are `mentioned`.
    """
    keywords = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    keywords |= set(mentioned)
    for module, tree in trees.items():
        if module not in open_to_apps:
            _Parameters(tree, keywords).rename()
    short = _Names(trees, public).short(mentioned)
    short = {old: new for old, new in short.items() if old not in mentioned}
    for tree in trees.values():
        _Renamer(short).visit(tree)
    return {module: ast.unparse(tree) for module, tree in trees.items()}


def shorten_source(text: str) -> str:
    """The source `text` of a module that stays source, with short names but for its public ones, and without comments.

    Raises SyntaxError.
    """
    tree = ast.parse(text)
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    _Parameters(tree, keywords, also_locals=True).rename()
    return shorten({"": tree}, [""], [""])[""] + "\n"


def mentions(text: str) -> set[str]:
    """Every name that the source `text` has, also as a string. Raises SyntaxError."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        found |= {name for name, _stored in _names(node)} | _constants(node)
        if isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found |= {alias.name for alias in node.names}  # it may be called otherwise there
    return found


def imported(text: str) -> set[str]:
    """Every module that the source `text` may import, also by a string. Raises SyntaxError."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


# Names


class _Names:
    """All names of the modules `trees`: where each is, and what may be done with it."""

    def __init__(self, trees: Mapping[str, ast.Module], public: Iterable[str]) -> None:
        self._families = _families(trees)
        self._where: dict[str, set[str]] = defaultdict(set)  # name -> families that have it
        self._made: set[str] = set()  # here; others are the platform's, as in `core._io_queue`
        self._of_objects: set[str] = set()
        self._of_modules: set[str] = set()
        self._kept = {part for module in trees for part in module.split(".")}
        self._kept_public = {*_BUILTIN, *_PLATFORM.split()}
        for module, tree in trees.items():
            self._read(module, tree, set(trees))
            if module in public:
                self._kept_public |= {name for node in ast.walk(tree) for name, _stored in _names(node)}
        self._kept_public |= _errors(trees)

    def _read(self, module: str, tree: ast.Module, ours: Collection[str]) -> None:
        foreign = {alias.asname or alias.name for alias in _aliases(tree, ours)}
        self._kept_public |= {alias.name for alias in _aliases(tree, ours)}
        for node in ast.walk(tree):
            for name, stored in _names(node):
                self._where[name].add(self._families[module])
                if stored:
                    self._made.add(name)
            self._kept |= _constants(node)
            if isinstance(node, ast.keyword) and node.arg:
                self._kept_public.add(node.arg)
            if isinstance(node, ast.Attribute):
                if getattr(node.value, "id", "") in foreign:
                    self._kept_public.add(node.attr)
                if not isinstance(node.ctx, ast.Load):
                    self._of_objects.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                self._of_objects |= {name for inner in node.body for name in _bound(inner)}
            elif isinstance(node, _DEFINITIONS):
                self._of_modules.add(node.name)
            elif isinstance(node, ast.Module):
                self._of_modules |= {name for inner in node.body for name in _bound(inner)}

    def short(self, foreign: Collection[str]) -> dict[str, str]:
        """Old -> new, which is none of the `foreign` names. Two names, save public ones of objects, are the same new one
        when no module, and no module that a class inherits from, has both."""
        free = self._made - self._kept
        public = {name for name in free - self._kept_public if _PUBLIC.match(name)}
        of_objects = public & self._of_objects
        shared = {name for name in free if _PRIVATE.match(name)} | public & self._of_modules - of_objects
        short: dict[str, str] = {}
        taken: dict[str, set[str]] = defaultdict(set)
        for name in sorted(shared, key=lambda name: (-len(self._where[name]), name)):
            new = next(
                new
                for new in _series()
                if new not in foreign and not any(new in taken[family] for family in self._where[name])
            )
            short[name] = new
            for family in self._where[name]:
                taken[family].add(new)
        unused = (new for new in _letters() if new not in self._where and new not in foreign)
        for name in sorted(of_objects, key=lambda name: (-len(self._where[name]), name)):
            short[name] = next(unused)
        return short


def _aliases(tree: ast.Module, ours: Collection[str]) -> Iterator[ast.alias]:
    """What a module has from the platform."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in ours:
            yield from node.names
        elif isinstance(node, ast.Import):
            yield from (alias for alias in node.names if alias.name not in ours)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement of a module or class gives to something."""
    if isinstance(node, (*_DEFINITIONS, ast.ClassDef)):
        yield node.name
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, ast.alias) and inner.asname:
            yield inner.asname


def _errors(trees: Mapping[str, ast.Module]) -> set[str]:
    """The names of exceptions: a log has them."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {name for name in _BUILTIN if isinstance(getattr(builtins, name), type(Exception))}
    found = {name for name in found if issubclass(getattr(builtins, name), BaseException)}
    more = True
    while more:
        new = {node.name for node in classes if any(getattr(base, "id", "") in found for base in node.bases)}
        more = not new <= found
        found |= new
    return found


def _families(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """Module -> one name for all modules whose classes inherit from each other: their objects have names of both."""
    parent = {module: module for module in trees}

    def root(module: str) -> str:
        while parent[module] != module:
            module = parent[module]
        return module

    for module, tree in trees.items():
        origin = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in trees
            for alias in node.names
        }
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                if isinstance(base, ast.Name) and base.id in origin:
                    parent[root(module)] = root(str(origin[base.id]))
    return {module: root(module) for module in trees}


def _names(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """(name, whether it is made here) of everything that a node names."""
    if isinstance(node, ast.Name):
        yield node.id, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.Attribute):
        yield node.attr, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, True
    elif isinstance(node, ast.arg):
        yield node.arg, True
    elif isinstance(node, ast.alias):
        yield node.asname or node.name, bool(node.asname)


def _constants(node: ast.AST) -> set[str]:
    """Names that the compiler folds away itself, and those that a string may mean."""
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "const"
    ):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    return set()


def _series() -> Iterator[str]:
    for digit in _DIGITS:
        yield "_" + digit
    for first in _DIGITS:
        for second in _DIGITS:
            yield "_" + first + second


def _letters() -> Iterator[str]:
    for number in range(100):
        for letter in string.ascii_letters:
            yield f"{letter}{number}"


class _Renamer(ast.NodeTransformer):
    def __init__(self, short: Mapping[str, str]) -> None:
        self._short = short

    def visit(self, node: ast.AST) -> ast.AST:
        for field in ("id", "attr", "name", "asname", "arg"):
            old = getattr(node, field, None)
            if isinstance(old, str) and old in self._short and not _is_module(node, field):
                setattr(node, field, self._short[old])
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [self._short.get(name, name) for name in node.names]
        return self.generic_visit(node)


def _is_module(node: ast.AST, field: str) -> bool:
    return isinstance(node, ast.alias) and field == "name" and "." in node.name


# Parameters


class _Parameters:
    """The parameters of all functions of one module. A function and those within it are renamed together.

    With `also_locals` all that functions name, which only source needs: `.mpy` files have no other names of theirs.
    """

    def __init__(self, tree: ast.Module, keywords: Iterable[str | None], also_locals: bool = False) -> None:
        self._tree = tree
        self._all = also_locals
        self._kept = {*keywords, "self", "cls", *_BUILTIN, *_globals(tree)}

    def rename(self) -> None:
        for function in _outermost(self._tree):
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            letters = (letter for letter in string.ascii_letters if letter not in used and letter not in self._kept)
            short: dict[str, str] = {}
            for node in ast.walk(function):
                for name in _parameters(node) if not self._all else _locals(node):
                    if len(name) > 1 and name not in self._kept and name not in short:
                        short[name] = next(letters)
            kept = {arg.arg for node in ast.walk(function) for arg in _others(node)}
            for node in ast.walk(function):
                self._apply(node, {old: new for old, new in short.items() if old not in kept})

    @staticmethod
    def _apply(node: ast.AST, short: Mapping[str, str]) -> None:
        if isinstance(node, ast.Name):
            node.id = short.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = short.get(node.arg, node.arg)
        elif isinstance(node, ast.Nonlocal):
            node.names = [short.get(name, name) for name in node.names]
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = short.get(node.name, node.name)


def _globals(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        for inner in ast.walk(node) if not isinstance(node, (*_DEFINITIONS, ast.ClassDef)) else (node,):
            if isinstance(inner, (*_DEFINITIONS, ast.ClassDef)):
                yield inner.name
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id
            elif isinstance(inner, ast.alias):
                yield inner.asname or inner.name.split(".")[0]


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_DEFINITIONS, ast.Lambda)):
            yield child
        else:
            yield from _outermost(child)


def _parameters(node: ast.AST) -> list[str]:
    return [arg.arg for arg in node.args.args] if isinstance(node, (*_DEFINITIONS, ast.Lambda)) else []


def _locals(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    return _parameters(node)


def _others(node: ast.AST) -> list[ast.arg]:
    """Parameters that can only be given by keyword, and what catches the rest: these stay."""
    if not isinstance(node, (*_DEFINITIONS, ast.Lambda)):
        return []
    caught = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
    return [*node.args.kwonlyargs, *caught]
