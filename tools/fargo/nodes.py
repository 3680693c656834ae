"""The nodes of a syntax tree, as `ast.walk` gives them and in its order, several times as fast.

Linking asks for them so often that it takes most of its time. Left out is what nobody asks for: contexts and operators.
"""

from __future__ import annotations

import ast

_LEFT_OUT = {"ctx", "op", "ops", "kind", "type_comment", "id", "attr", "conversion", "level"}
_known: dict[str, tuple[str, ...]] = {}


def _fields(node: ast.AST) -> tuple[str, ...]:
    name = node.__class__.__name__
    if name not in _known:
        _known[name] = tuple(field for field in node._fields if field not in _LEFT_OUT)
    return _known[name]


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below a node."""
    found: list[ast.AST] = []
    for name in _fields(node):
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """A node and all below it."""
    found = [node]
    for one in found:  # which grows
        found += children(one)
    return found
