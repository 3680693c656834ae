"""What the names of a device module mean, for `link.py`: its own things, others' that it imports, or the platform's."""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from fargo import scopes
from fargo.console import Failure
from fargo.groups import is_opaque

_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.LShift: operator.lshift,
    ast.RShift: operator.rshift, ast.BitOr: operator.or_, ast.BitAnd: operator.and_, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
_SMALL = 1 << 30  # larger numbers are objects, one for each place
_REFUSED = {"__name__", "__all__"}


class Thing(NamedTuple):
    """What a name means: `name` of the module `module`, or the module itself; one of `ours`, or the platform's."""

    module: str
    name: str | None
    ours: bool


class Part:
    """A statement of a module: the names that it gives (`made`), and what it names."""

    def __init__(self, statement: ast.stmt) -> None:
        self.statement = statement
        self.names = scopes.names(statement)
        self.made = {use.name for use in self.names.uses if _is_made(use)}
        value = getattr(statement, "value", None)
        is_const = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const"
        self.is_folded = is_const and all(name.startswith("_") for name in self.made)  # by MicroPython's compiler
        self.uses: list[tuple[scopes.Use, Thing]] = []


class Module:
    """A module of ours: what each of its names means, and its statements but for imports."""

    def __init__(self, name: str, tree: ast.Module, ours: Collection[str]) -> None:
        self.name = name
        self.opaque = is_opaque(tree)
        self.meaning: dict[str, Thing] = {}
        self.stars: list[str] = []
        self.imported: dict[str, str] = {}  # a module of ours that is imported as it is: what it is called here
        self.named: set[str] = set()  # of these, what is used
        self.parts: list[Part] = []
        for node in tree.body:
            if isinstance(node, ast.Import):
                self._import(node, ours)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node, ours)
            elif not _is_nothing(node):
                self.parts.append(Part(node))
        used = {use.name for part in self.parts for use in part.names.uses}
        # Imported to be there, or to see whether it is.
        self.idle = [
            thing for name, thing in self.meaning.items() if not thing.ours and not thing.name and name not in used
        ]
        made = Counter(name for part in self.parts for name in part.made)
        self.made = dict(made)
        for each in made:
            if each in self.meaning:
                raise Failure(f"{name} imports {each} and gives it another meaning")
            self.meaning[each] = Thing(name, each, True)
        for part in self.parts:
            if clash := part.names.bare & set(self.meaning):
                raise Failure(f"{name} has a class that reads {min(clash)}, which may be its own or the module's")
            for use in part.names.uses:
                if use.name in _REFUSED:
                    raise Failure(f"{name} asks for its own {use.name}, which it has not when it is linked")

    def _import(self, node: ast.Import, ours: Collection[str]) -> None:
        for alias in node.names:
            called = alias.asname or alias.name
            if alias.name in ours:
                self.imported[alias.name] = called
            if "." not in called:
                self._mean(called, Thing(alias.name, None, alias.name in ours))
            elif alias.name not in ours:
                raise Failure(f"{self.name} imports {alias.name}, and gives it no name of its own")

    def _import_from(self, node: ast.ImportFrom, ours: Collection[str]) -> None:
        module = str(node.module)
        for alias in node.names:
            called = alias.asname or alias.name
            if alias.name == "*":
                if module not in ours:
                    raise Failure(f"{self.name} imports everything from {module}")
                self.stars.append(module)
            elif f"{module}.{alias.name}" in ours:
                self._mean(called, Thing(f"{module}.{alias.name}", None, True))
            else:
                self._mean(called, Thing(module, alias.name, module in ours))

    def _mean(self, name: str, thing: Thing) -> None:
        if self.meaning.setdefault(name, thing) != thing:
            raise Failure(f"{self.name} imports two things as {name}")


class Meanings:
    """All modules that are linked."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules
        self._values: dict[Thing, int | str | bytes] = {}
        for module in modules.values():
            for part in module.parts:
                self._read(module, part)

    def of(self, module: Module, name: str) -> Thing | None:
        """What `name` means in `module` in the end; None when it is the interpreter's own, as builtins are."""
        found = module.meaning.get(name)
        for star in module.stars:
            if found is None and not name.startswith("_") and name in self._modules[star].meaning:
                found = Thing(star, name, True)
        return self.final(found) if found else None

    def final(self, thing: Thing) -> Thing:
        """Where `thing` is made. Raises Failure when its module has no such thing."""
        if not thing.ours or thing.name is None or thing.name in self._modules[thing.module].made:
            return thing
        found = self.of(self._modules[thing.module], thing.name)
        if (
            found is None and not self._modules[thing.module].meaning
        ):  # a package: it may be a file of the app's in its folder
            return thing._replace(ours=False)
        if found is None:
            raise Failure(f"{thing.module} has no {thing.name}")
        return found

    def value(self, thing: Thing) -> int | str | bytes | None:
        """The number or text that `thing` always is."""
        return self._values.get(thing)

    def _read(self, module: Module, part: Part) -> None:
        node = part.statement
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            return
        name = node.targets[0].id
        value = self._evaluated(module, node.value)
        if value is None or isinstance(value, int) and not -_SMALL <= value < _SMALL:
            return
        if module.made[name] == 1:
            self._values[Thing(module.name, name, True)] = value

    def _evaluated(self, module: Module, node: ast.expr) -> int | str | bytes | None:
        if isinstance(node, ast.Constant) and type(node.value) in (int, str, bytes):
            return node.value  # type: ignore[return-value]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "const":
            return self._evaluated(module, node.args[0])
        if isinstance(node, ast.Name) and node.id in module.meaning:
            thing = self.of(module, node.id)
            return self._values.get(thing) if thing else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._evaluated(module, node.operand)
            return -value if isinstance(value, int) else None
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = (self._evaluated(module, side) for side in (node.left, node.right))
            if isinstance(left, int) and isinstance(right, int):
                return int(_OPERATORS[type(node.op)](left, right))
        return None


def _is_made(use: scopes.Use) -> bool:
    return not isinstance(use.node, ast.Name) or not isinstance(use.node.ctx, ast.Load)


def _is_nothing(node: ast.stmt) -> bool:
    """Texts, and `__all__`, of which all that it lists is made anyway."""
    if isinstance(node, ast.Assign):
        return [getattr(target, "id", "") for target in node.targets] == ["__all__"]
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
