"""What a linked module need not carry: changes of form that MicroPython's compiler and loader make less of."""

from __future__ import annotations

import ast
import keyword
from collections import Counter
from collections.abc import Iterable

from fargo import scopes

_NEAR = 128  # bytecode has a name's number in one byte, if it is less
_INTERNED = 10  # characters of a text that MicroPython keeps as a name
_OF_MODULES = ("__name__", "__file__")
_OF_CLASSES = ("__module__", "__qualname__")


def slim(tree: ast.Module) -> ast.Module:
    """`tree`, changed."""
    _forget(tree)
    _order(tree)
    return tree


def _forget(tree: ast.Module) -> None:
    """Modules forget their file and name, classes their module and path, which are entries of tables that nobody reads.

    At once, so that others take their places. What tracebacks say is kept elsewhere, and so is a class's name.
    """
    nodes = list(ast.walk(tree))
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
        inside = ast.walk(top) if isinstance(top, (*scopes.FUNCTIONS, ast.ClassDef)) else ()
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
