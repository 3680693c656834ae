"""Keeps the short texts of phases out of the names that MicroPython holds for ever.

A text of up to ten letters in code becomes a name as soon as the code is loaded, and stays when the code goes. In a tuple of
constants it is an object that goes, too. So a module that is not resident gets such a tuple, and takes its texts from there;
but for those that something else makes names of anyway. One letter costs less as a name, and becomes one wherever a text is
read letter by letter.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Mapping

from fargo.names import series
from fargo.nodes import children, walk
from fargo.uses import Scopes

_MOST = 10  # letters: MICROPY_ALLOC_PARSE_INTERN_STRING_LEN
_EVERYWHERE = frozenset(("", " ", "/", "\n", "*", "_", "utf-8", ",", ".", *dir(builtins)))  # MicroPython has them


def apart(trees: Mapping[str, ast.Module], entries: Collection[str], mentioned: Collection[str] = ()) -> None:
    """Change all modules of `trees`, whose names are final, but those that `entries` import: these stay in memory."""
    resident = _closure(trees, entries)
    held = {*_EVERYWHERE, *mentioned, *_named(trees)}
    for module in resident:
        held |= {str(node.value) for node in _texts(trees[module])}
    for module, tree in trees.items():
        if module not in resident:
            _move(tree, held, mentioned)


def _closure(trees: Mapping[str, ast.Module], entries: Collection[str]) -> set[str]:
    """The modules of `trees` that `entries` bring with them."""
    found: set[str] = set()
    todo = [entry for entry in entries if entry in trees]
    while todo:
        module = todo.pop()
        if module in found:
            continue
        found.add(module)
        for node in walk(trees[module]):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names if alias.name in trees]
            elif isinstance(node, ast.ImportFrom):
                meant = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
                todo += [name for name in meant if name in trees]
    return found


def _named(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """All that is a name already."""
    for use in Scopes(trees).uses:
        yield use.name
    for module, tree in trees.items():
        yield from module.split(".")
        for node in walk(tree):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, (ast.arg, ast.keyword)):
                yield node.arg or ""
            elif isinstance(node, ast.alias):
                yield node.name
            elif isinstance(node, ast.ImportFrom):
                yield node.module or ""


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    """The texts that become names. Others are objects already, or not in the code at all."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and 1 < len(node.value) <= _MOST:
            yield node
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) or _is_object(node):
        return
    else:
        for child in children(node):
            yield from _texts(child)


def _is_object(node: ast.AST) -> bool:
    """A tuple of constants."""
    return isinstance(node, ast.Tuple) and all(isinstance(one, ast.Constant) or _is_object(one) for one in node.elts)


def _move(tree: ast.Module, held: Collection[str], mentioned: Collection[str]) -> None:
    said = {id(node): str(node.value) for node in _texts(tree) if node.value not in held}
    for node in walk(tree):
        if isinstance(node, ast.JoinedStr) or getattr(getattr(node, "func", None), "id", "") in ("phase", "const"):
            for inner in walk(node):  # what a phase is given is a module's name
                said.pop(id(inner), None)
    if not said:
        return
    used = {getattr(node, field, None) for node in walk(tree) for field in ("id", "arg", "name", "asname")}
    name = next(name for name in series() if name not in used and name not in mentioned)
    texts = sorted(set(said.values()))
    _Mover(name, {node: texts.index(text) for node, text in said.items()}).visit(tree)
    made = ast.Assign([ast.Name(name, ast.Store())], ast.Tuple([ast.Constant(text) for text in texts], ast.Load()))
    tree.body.insert(0, ast.fix_missing_locations(ast.copy_location(made, tree.body[0])))


class _Mover(ast.NodeTransformer):
    def __init__(self, name: str, places: Mapping[int, int]) -> None:
        self._name = name
        self._places = places

    def visit_Constant(self, node: ast.Constant) -> ast.AST:  # noqa: N802 - ast calls it
        place = self._places.get(id(node))
        if place is None:
            return node
        return ast.Subscript(ast.Name(self._name, ast.Load()), ast.Constant(place), ast.Load())
