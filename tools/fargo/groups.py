"""Which device modules become one: those that are in memory together whatever happens."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping

from fargo.console import Failure
from fargo.nodes import walk


def groups(
    trees: Mapping[str, ast.Module], entry: str, apart: Collection[str] = (), alone: Collection[str] = ()
) -> dict[str, list[str]]:
    """Name -> modules, in the order in which they run, each after what it imports.

    One group is all that `entry` imports. Of the rest, modules that the same phases and imports within functions bring,
    and no others, are one; it has the name of the phase's module. Modules `apart` are never in one with what `entry` has,
    so they can be imported by their names; those `alone` in none with any other, as when their objects outlive the phase.
    What nobody imports is in no group. Raises Failure for imports in a circle.
    """
    static = {name: [other for other in imports(tree, trees) if other != name] for name, tree in trees.items()}
    late = {name: set(_late(tree, trees)) for name, tree in trees.items()}
    resident = closure([entry], static)
    roots = {*apart} & set(trees)
    todo = [*resident, *closure(roots, static)]
    while todo:
        for root in late[todo.pop()] - roots:
            roots.add(root)
            todo += closure([root], static)
    single = {name for name, tree in trees.items() if name in alone or is_opaque(tree)}
    brought: dict[str, set[str]] = {}
    for root in sorted((roots | single) - resident):
        for name in closure([root], static) - resident:
            brought.setdefault(name, set()).add(root)
    kinds: dict[object, list[str]] = {}
    for name in order(sorted({*resident, *brought}), static):
        kind: object = frozenset(brought.get(name, ()))
        if name in single or (name in resident and name in roots):
            kind = name
        kinds.setdefault(kind, []).append(name)
    found = {}
    for members in kinds.values():
        named = [name for name in members if name == entry or name in roots or name in single]
        found[named[-1] if named else members[-1]] = members
    return found


def closure(roots: Iterable[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    """All that is loaded with `roots`; a package with its modules."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in edges and name not in found:
            found.add(name)
            todo += [*edges[name], *(name[:at] for at, letter in enumerate(name) if letter == ".")]
    return found


def order(names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> list[str]:
    """`names` and all that they import, each after what it imports. Raises Failure for imports in a circle."""
    found: list[str] = []
    above: list[str] = []

    def visit(name: str) -> None:
        if name in above:
            raise Failure(f"modules import each other in a circle: {' -> '.join([*above[above.index(name) :], name])}")
        if name in found:
            return
        above.append(name)
        for other in edges[name]:
            visit(other)
        above.pop()
        found.append(name)

    for name in names:
        visit(name)
    return found


def imports(tree: ast.Module, ours: Collection[str]) -> list[str]:
    """Those of `ours` that a module imports when it is imported. Raises Failure when that depends on something."""
    found = []
    begun = False
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            new = list(_modules(node, ours))
            if new and begun:
                raise Failure(f"an import after other statements cannot be linked: {ast.unparse(node)}")
            found += new
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for inner in walk(node):
                begun |= isinstance(inner, ast.Call)
                if isinstance(inner, (ast.Import, ast.ImportFrom)):
                    raise Failure(f"an import that depends on something cannot be linked: {ast.unparse(inner)}")
    return list(dict.fromkeys(found))


def is_opaque(tree: ast.Module) -> bool:
    """Whether a module looks names up by their text."""
    return any(isinstance(node, ast.Name) and node.id in ("globals", "locals", "eval", "exec") for node in walk(tree))


def asked_of_phases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of what is asked of modules in `with phase(...) as ...`."""
    for node in walk(tree):
        for item in node.items if isinstance(node, (ast.With, ast.AsyncWith)) else ():
            call, called = item.context_expr, item.optional_vars
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "phase":
                continue
            variables = called.elts if isinstance(called, ast.Tuple) else [called][: len(call.args) == 1]
            modules = {getattr(name, "id", ""): _named(arg) for name, arg in zip(variables, call.args, strict=False)}
            for inner in walk(node):
                module = modules.get(getattr(inner.value, "id", None)) if isinstance(inner, ast.Attribute) else None
                if module and isinstance(inner, ast.Attribute):
                    yield module, inner.attr


def _modules(node: ast.Import | ast.ImportFrom, ours: Collection[str]) -> Iterator[str]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            if alias.name in ours:
                yield alias.name
        elif f"{node.module}.{alias.name}" in ours:
            yield f"{node.module}.{alias.name}"
    if isinstance(node, ast.ImportFrom) and node.module in ours:
        yield str(node.module)


def _named(node: ast.expr) -> str:
    if not isinstance(node, ast.Constant):
        raise Failure(f"a phase is not named: {ast.unparse(node)}")
    return str(node.value)


def _late(tree: ast.Module, ours: Collection[str]) -> Iterator[str]:
    """What a module brings in later: for phases, and by imports in functions."""
    for node in walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "phase":
            yield from (name for name in map(_named, node.args) if name in ours)
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and node not in tree.body:
            yield from _modules(node, ours)
