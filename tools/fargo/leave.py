"""What a function calls a phase's module by ends with the phase: the name would keep all its code, while others are loaded.

`with phase("a") as code: ...` is left with `code = None` as the last thing in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fargo import scopes

_INNER = (*scopes.FUNCTIONS, ast.Lambda, ast.ClassDef)
_ELSEWHERE = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def leave(tree: ast.Module) -> ast.Module:
    """`tree`, changed."""
    for function in [node for node in ast.walk(tree) if isinstance(node, scopes.FUNCTIONS)]:
        blocks = [(node, found) for node in _own(function) if isinstance(node, ast.With) and (found := _called(node))]
        inside = {id(node) for block, found in blocks for node in ast.walk(block) if _is_one(node, found)}
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and id(node) not in inside}
        for inner in [node for node in _own(function) if isinstance(node, _INNER)]:
            used |= {node.id for node in ast.walk(inner) if isinstance(node, ast.Name)}
        for block, found in blocks:
            names: list[ast.expr] = [ast.Name(name, ast.Store()) for name in sorted(found - used)]
            if names and not isinstance(block.body[-1], _ELSEWHERE):  # else it is left already
                block.body.append(ast.Assign(names, ast.Constant(None)))
    return ast.fix_missing_locations(tree)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """All in a function that is not in one, or a class, of its own; of these the whole."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _INNER):
            yield from _own(child)


def _called(block: ast.With) -> set[str]:
    """What a `with` calls the modules of phases by."""
    targets = [item.optional_vars for item in block.items if _is_phase(item.context_expr) and item.optional_vars]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _is_phase(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "phase"


def _is_one(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names
