"""Shortens the private names of device code before it is compiled: MicroPython keeps every name in memory, for ever.

A name costs a chip 8 bytes and its letters as soon as any module that has it was loaded once. Names are of no use to
the device, so private ones (`_name`) become `_0`, `_1` and so on, the same ones again wherever they cannot meet, and the
parameters of functions single letters. Public names, strings and what callers give by keyword stay as they are.

All of Fargo's modules are renamed together, and the result depends on their text alone.
"""

from __future__ import annotations

import ast
import builtins
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

_PRIVATE = re.compile(r"_[a-zA-Z][a-zA-Z0-9_]*$")
_DIGITS = string.digits + string.ascii_letters
_BUILTIN = frozenset(dir(builtins))


def shorten(sources: Mapping[str, str], open_to_apps: Iterable[str] = ()) -> dict[str, str]:
    """The `sources` (module -> text) with short names.

    The parameters of modules `open_to_apps` stay: apps may give them by keyword. Raises SyntaxError.
    """
    trees = {module: ast.parse(text) for module, text in sources.items()}
    short = _private_names(trees)
    keywords = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    for module, tree in trees.items():
        if module not in open_to_apps:
            _Parameters(tree, keywords).rename()
        _Renamer(short).visit(tree)
    return {module: ast.unparse(tree) for module, tree in trees.items()}


def module(name: str) -> str:
    """The module that the file `name` of an app image is."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


# Private names


def _private_names(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """Old -> new. Two names are the same new one when no module, and no module that a class inherits from, has both."""
    where: dict[str, set[str]] = defaultdict(set)
    made: set[str] = set()  # here; others are the platform's, as in `core._io_queue`
    kept = {part for module in trees for part in module.split(".")}
    families = _families(trees)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            for name, stored in _names(node):
                where[name].add(families[module])
                if stored:
                    made.add(name)
            kept |= _constants(node)
    names = [name for name in where if _PRIVATE.match(name) and name in made and name not in kept]
    short: dict[str, str] = {}
    taken: dict[str, set[str]] = defaultdict(set)
    for name in sorted(names, key=lambda name: (-len(where[name]), name)):
        new = next(new for new in _series() if not any(new in taken[family] for family in where[name]))
        short[name] = new
        for family in where[name]:
            taken[family].add(new)
    return short


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
        yield node.asname or node.name, False


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
    """The parameters of all functions of one module. A function and those within it are renamed together."""

    def __init__(self, tree: ast.Module, keywords: Iterable[str | None]) -> None:
        self._tree = tree
        self._kept = {*keywords, "self", "cls", *_BUILTIN, *_globals(tree)}

    def rename(self) -> None:
        for function in _outermost(self._tree):
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            letters = (letter for letter in string.ascii_letters if letter not in used and letter not in self._kept)
            short: dict[str, str] = {}
            for node in ast.walk(function):
                for arg in _positional(node):
                    if len(arg.arg) > 1 and arg.arg not in self._kept and arg.arg not in short:
                        short[arg.arg] = next(letters)
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


def _positional(node: ast.AST) -> list[ast.arg]:
    return node.args.args if isinstance(node, (*_DEFINITIONS, ast.Lambda)) else []


def _others(node: ast.AST) -> list[ast.arg]:
    """Parameters that can only be given by keyword, and what catches the rest: these stay."""
    if not isinstance(node, (*_DEFINITIONS, ast.Lambda)):
        return []
    caught = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
    return [*node.args.kwonlyargs, *caught]
