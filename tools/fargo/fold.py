"""Puts the small integers that device code has names for where they are meant: a name costs memory for ever, a number none.

MicroPython's compiler does so within a module for what is `const`; this also does where other modules import one.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from fargo.uses import FUNCTIONS, Scopes, Use, strings

_MOST = 1 << 30  # what MicroPython keeps in a word, on 32 bits

_Global = tuple[str, str]  # (module, name)


def fold(trees: Mapping[str, ast.Module], public: Collection[str] = (), mentioned: Collection[str] = ()) -> None:
    """Change the modules `trees` so that none reads a small integer by a name, where a module binds it once, and alone.

    What an object has, a string says or `mentioned` has is left; so are the names of `public` modules, in them.
    """
    scopes = Scopes(trees)
    uses: dict[_Global, list[Use]] = defaultdict(list)
    left = {*mentioned, *(text for tree in trees.values() for text in strings(tree))}
    for use in scopes.uses:
        if use.module is None:
            left.add(use.name)
        else:
            uses[use.module, use.name].append(use)
    known = {
        (module, name): value
        for module, tree in trees.items()
        for name, value in _numbers(tree)
        if name not in left and _times_bound(uses[module, name]) == 1
    }
    stays = {key for key in known if key[0] in public}
    away = _follow(trees, known, uses, left)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                stays |= {(str(node.module), alias.name) for alias in node.names if id(alias) not in away}
    values = {id(use.node): value for key, value in known.items() for use in uses[key]}
    for module, tree in trees.items():
        _Folder(values, away, {name for at, name in known if at == module and (at, name) not in stays}).visit(tree)


def _numbers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(X, 5) of `X = 5` and `X = const(5)` of a module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const":
                value = value.args[0]
            try:
                found = ast.literal_eval(value)
            except ValueError:
                continue
            if type(found) is int and abs(found) < _MOST:
                yield node.targets[0].id, found


def _times_bound(uses: list[Use]) -> int:
    """How often a global is given a value: each `global` counts."""
    return sum(
        use.field in ("asname", "names")
        or isinstance(use.node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler))
        or isinstance(getattr(use.node, "ctx", None), (ast.Store, ast.Del))
        for use in uses
    )


def _follow(
    trees: Mapping[str, ast.Module],
    known: dict[_Global, int],
    uses: Mapping[_Global, list[Use]],
    left: Collection[str],
) -> set[int]:
    """Add to `known` what modules import of it; the ids of these imports."""
    away: set[int] = set()
    before = -1
    while before != len(away):
        before = len(away)
        for module, tree in trees.items():
            for node in tree.body:
                if not isinstance(node, ast.ImportFrom):
                    continue
                for alias in node.names:
                    here, there = (module, alias.asname or alias.name), (str(node.module), alias.name)
                    if there in known and here[1] not in left and _times_bound(uses[here]) == 1:
                        known[here] = known[there]
                        away.add(id(alias))
    return away


class _Folder(ast.NodeTransformer):
    """`values`: id of a node -> what is there instead; `away`: ids of imports; `names`: of the module, bound no more."""

    def __init__(self, values: Mapping[int, int], away: Collection[int], names: Collection[str]) -> None:
        self._values = values
        self._away = away
        self._names = names

    def visit_Module(self, node: ast.Module) -> ast.AST:  # noqa: N802 - ast calls it
        node.body = [one for one in node.body if not (isinstance(one, ast.Assign) and self._is_bound(one.targets[0]))]
        return self.generic_visit(node)

    def _is_bound(self, target: ast.AST) -> bool:
        return isinstance(target, ast.Name) and target.id in self._names

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:  # noqa: N802
        node.names = [alias for alias in node.names if id(alias) not in self._away]
        return node if node.names else None

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802
        return self._number(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # noqa: N802
        return self._number(node) if id(node) in self._values else self.generic_visit(node)

    def _number(self, node: ast.Name | ast.Attribute) -> ast.AST:
        value = self._values.get(id(node))
        if value is None or not isinstance(node.ctx, ast.Load):
            return node
        number: ast.expr = ast.Constant(abs(value))
        return ast.copy_location(ast.UnaryOp(ast.USub(), number) if value < 0 else number, node)
