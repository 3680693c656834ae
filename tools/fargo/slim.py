"""What a linked module need not carry: changes of form that MicroPython's compiler and loader make less of."""

from __future__ import annotations

import ast
import keyword
from collections import Counter

from fargo import scopes

_NEAR = 128  # bytecode has a name's number in one byte, if it is less
_INTERNED = 10  # characters of a text that MicroPython keeps as a name
_OF_CLASSES = ("__module__", "__qualname__")


def slim(tree: ast.Module) -> ast.Module:
    """`tree`, changed."""
    _forget(tree)
    _order(tree)
    return tree


def _forget(tree: ast.Module) -> None:
    """Classes forget their module and their name's path, two entries of a table: a class's name is kept elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            targets: list[ast.expr] = [ast.Name(name, ast.Del()) for name in _OF_CLASSES]
            node.body.insert(0, ast.Delete(targets))


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
