"""What a linked module need not carry: changes of form that MicroPython's compiler and loader make less of."""

from __future__ import annotations

import ast
import keyword
from collections import Counter
from collections.abc import Iterable

from fargo import scopes
from fargo.nodes import walk

_NEAR = 128  # bytecode has a name's number in one byte, if it is less
_INTERNED = 10  # characters of a text that MicroPython keeps as a name
# By how often they are asked for when a request is answered
_BUILT_IN = ("len", "type", "int", "memoryview", "str", "bytearray", "hasattr", "isinstance", "bytes")
_TABLES = (10, 12, 17, 23, 29, 37, 47, 59, 73, 97, 127, 167, 223, 293, 389, 521)  # the places that a table has
_OF_MODULES = ("__name__", "__file__")
_OF_CLASSES = ("__module__", "__qualname__")


def slim(tree: ast.Module, resident: bool = False) -> ast.Module:
    """`tree`, changed. `resident`: it is what answers requests, and is to find quickly what it asks for."""
    if resident:
        _have(tree)
    _forget(tree)
    _order(tree)
    return tree


def _have(tree: ast.Module) -> None:
    """Have the module's table hold, where it has places left, what is built in and asked for at every request.

    What a table does not have is looked for in all of it, for it is full, and then among all that is built in, one by one.
    """
    functions = [top for top in tree.body if isinstance(top, (*scopes.FUNCTIONS, ast.ClassDef))]
    inside = {node.id for top in functions for node in walk(top) if isinstance(node, ast.Name)}
    own = set(_OF_MODULES)
    for at, top in reversed([*enumerate(tree.body)]):
        named = _named(top)
        spare = named - inside if isinstance(top, ast.Import) else set()
        for name in spare:  # used by the module's own code alone, as `gc` in `collect = gc.collect`
            last = max(i for i, other in enumerate(tree.body) if name in {*_named(other), *_read(other)})
            if last > at:
                tree.body.insert(last + 1, ast.Delete([ast.Name(name, ast.Del())]))
                named.discard(name)
        own |= named
    room = next(size for size in _TABLES if size >= len(own)) - len(own)
    # First, so that each stands where it is looked for first.
    tree.body[:0] = ast.parse("".join(f"{name} = {name}\n" for name in _BUILT_IN[:room])).body


def _named(top: ast.stmt) -> set[str]:
    """The names of the module that a statement of it makes."""
    if isinstance(top, (*scopes.FUNCTIONS, ast.ClassDef)):
        return {top.name}
    if isinstance(top, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in top.names}
    found = {node.id for node in walk(top) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    constant = (
        isinstance(top, ast.Assign) and isinstance(top.value, ast.Call) and ast.unparse(top.value.func) == "const"
    )
    return {name for name in found if not (constant and name[0] == "_")}


def _read(top: ast.stmt) -> set[str]:
    return {node.id for node in walk(top) if isinstance(node, ast.Name)}


def _forget(tree: ast.Module) -> None:
    """Modules forget their file and name, classes their module and path, which are entries of tables that nobody reads.

    At once, so that others take their places. What tracebacks say is kept elsewhere, and so is a class's name.
    """
    nodes = list(walk(tree))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    for node in classes:
        node.body.insert(0, _without(_OF_CLASSES))
    asked = {node.id for node in nodes if isinstance(node, ast.Name)}
    if classes:
        asked.add("__name__")  # each begins with its module's name
    if forgotten := [name for name in _OF_MODULES if name not in asked]:
        tree.body.insert(0, _without(forgotten))


def _without(names: Iterable[str]) -> ast.Delete:
    return ast.Delete([ast.Name(name, ast.Del()) for name in names])


def _order(tree: ast.Module) -> None:
    """Have the names that are used most come first, for they are numbered as they come: in what never runs.

    It is the module's own code, which is gone when the module is loaded.
    """
    counts = _counts(tree)
    if len(counts) > _NEAR:
        # By the alphabet, so that a use more or less changes nothing else.
        names = sorted(name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: _NEAR - 1])
        chain: ast.expr = ast.Name("__name__", ast.Load())
        for name in names:
            chain = ast.Attribute(chain, name, ast.Load())
        test = ast.UnaryOp(ast.Not(), ast.Name("__name__", ast.Load()))
        tree.body.insert(0, ast.If(test, [ast.Expr(chain)], []))


def _counts(tree: ast.Module) -> Counter[str]:
    """How often functions name what."""
    found: Counter[str] = Counter()
    for top in tree.body:
        inside = walk(top) if isinstance(top, (*scopes.FUNCTIONS, ast.ClassDef)) else ()
        own = {id(use.node) for use in scopes.names(top).uses if isinstance(use.node, ast.Name)}
        for node in inside:
            if isinstance(node, ast.Attribute):
                found[node.attr] += 1
            elif isinstance(node, ast.Name) and id(node) in own:
                found[node.id] += 1
            elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
                found[node.arg] += 1
            elif isinstance(node, scopes.FUNCTIONS):
                found[node.name] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < _INTERNED:
                found[node.value] += 1
    return Counter({name: count for name, count in found.items() if _can_be_asked(name)})


def _can_be_asked(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
