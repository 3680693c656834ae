"""Gives the modules of device code short names: MicroPython keeps each one's name and path in memory, for ever.

`swupdate.install.manifest` becomes `_0g`, a file beside the app. Packages are then empty folders' names and need no code.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping

from fargo import names


def module(name: str) -> str:
    """The module that the file `name` of an app image is."""
    return name.removesuffix(".py").removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")


def called(modules: Iterable[str], kept: Collection[str] = ()) -> dict[str, str]:
    """What each module is called in an app image: those at the top, and `kept`, as they are.

    Others have the short names that everything has (names.py): what a module is called is in memory anyway.
    """
    found = {name: name for name in modules if "." not in name or name in kept}
    short = (name for name in names.series() if name not in kept)
    return found | {name: next(short) for name in sorted(set(modules) - set(found))}


def flatten(tree: ast.Module, new: Mapping[str, str]) -> ast.Module:
    """A module that calls the others by their `new` names. Raises SyntaxError when it cannot."""
    return ast.fix_missing_locations(_Flattener(new).visit(tree))


def is_bare(tree: ast.Module) -> bool:
    """Whether a module has no code: only a package's words about itself."""
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body)


class _Flattener(ast.NodeTransformer):
    def __init__(self, new: Mapping[str, str]) -> None:
        self._names = new
        self._in_class = False

    def visit_Import(self, node: ast.Import) -> ast.AST:  # noqa: N802 - ast calls it
        for alias in node.names:
            alias.name = self._names.get(alias.name, alias.name)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.stmt]:  # noqa: N802
        """`from package import module` becomes `import module`; all else keeps its form."""
        found: list[ast.stmt] = []
        rest = []
        for alias in node.names:
            new = self._names.get(f"{node.module}.{alias.name}")
            if new is None or "." in new:
                rest.append(alias)
            else:
                found.append(ast.Import([ast.alias(new, alias.asname or alias.name)]))
        if rest:
            found.append(ast.ImportFrom(self._names.get(node.module or "", node.module), rest, 0))
        return found

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:  # noqa: N802
        """What is only declared is nothing to MicroPython. Of classes, names.py reads it and takes it out."""
        if node.value is None:
            return node if self._in_class else None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:  # noqa: N802
        body = []
        for one in node.body:
            self._in_class = isinstance(one, ast.AnnAssign)
            body.append(self.visit(one))
        self._in_class = False
        node.body = body
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        if getattr(node.func, "id", "") == "phase":
            for arg in node.args:
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                    arg.value = self._names.get(arg.value, arg.value)
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:  # noqa: N802
        """Of what depends on the interpreter, MicroPython's."""
        self.generic_visit(node)
        return node.body if ast.unparse(node.test) == "sys.implementation.name == 'micropython'" else node
