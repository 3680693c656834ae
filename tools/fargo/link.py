"""Joins device modules into fewer, larger ones: each costs a chip two names for ever, tables and imports.

What becomes one is `groups.py`'s. Of each group the modules' statements follow each other, and every module's own things
get names that are nobody else's there. What is imported within a group is called by that name. Numbers, wherever they are
made, and texts of the group stand where they are used. What nobody mentions is left out.
"""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from fargo import scopes
from fargo.console import Failure
from fargo.groups import asked_of_phases
from fargo.meaning import Meanings, Module, Part, Thing
from fargo.nodes import children, walk

_SHORT = re.compile(r"_[0-9a-zA-Z]{1,2}|[a-zA-Z]\d{1,2}")  # as names.py makes them
_FEW = 2  # uses of another group's thing that cost less as `module.name` than a name of one's own


def link(
    trees: Mapping[str, ast.Module],
    groups: Mapping[str, list[str]],
    entry: str,
    known: Collection[str] = (),
    apart: Collection[str] = (),
    also: Mapping[str, Collection[str]] | None = None,
) -> dict[str, ast.Module]:
    """What the modules `trees`, which are changed, become: by the names of their `groups`.

    The group of `entry` can be imported as each of its modules `also`, too, of which these names and those in `known` are
    known outside. So are the public names that `entry` itself makes, and of the module that gives another group its name
    all that is called as any attribute, text, or one of `known`; of modules `apart` what they import, too. Raises Failure
    for what cannot be linked.
    """
    if also:
        trees = {**trees, _REGISTRATION: _registration(also, entry)}
        groups = {**groups, entry: [*groups[entry], _REGISTRATION]}
    return _Linker(trees, groups, entry, known, apart, also or {}).link()


def _registration(names: Iterable[str], entry: str) -> ast.Module:
    """The module that registers `entry` under other names; a package's other modules are in the folder of its name."""
    lines = ["import sys"]
    for name in names:
        parent, _, child = name.rpartition(".")
        lines.append(f"{child + ' = ' if parent else ''}sys.modules['{name}'] = sys.modules['{entry}']")
        if not parent:
            lines.append(f"__path__ = __file__[:__file__.rfind('/') + 1] + '{name}'")
    return ast.parse("\n".join(lines))


_REGISTRATION = "its other names"


class _Linker:
    def __init__(
        self,
        trees: Mapping[str, ast.Module],
        groups: Mapping[str, list[str]],
        entry: str,
        known: Collection[str],
        apart: Collection[str],
        also: Mapping[str, Collection[str]],
    ) -> None:
        self._groups = groups
        self._entry = entry
        self._apart = apart
        self._also = also
        self._of = {module: group for group, modules in groups.items() for module in modules}
        self._modules = {name: Module(name, trees[name], trees) for name in self._of}
        self._meanings = Meanings(self._modules)
        self._outside = known
        self._known = {*known, *_known(trees.values())}
        self._children = {group.rpartition(".")[2] for group in groups if "." in group}  # set on packages
        self._names: dict[str, dict[Thing, str]] = {}
        self._free: dict[str, Iterator[str]] = {}

    def link(self) -> dict[str, ast.Module]:
        """The linked modules."""
        for group, modules in self._groups.items():
            if len(modules) > 1 and any(self._modules[name].opaque for name in modules):
                raise Failure(f"{group} looks names up by their text, and cannot be one with {', '.join(modules)}")
        for module in self._modules.values():
            for part in module.parts:
                _Resolver(self._meanings, self._of, module, part).run()
        self._check_phases()
        self._drop()
        for group in self._groups:
            self._names[group] = self._own_names(group)
        return {group: self._joined(group) for group in self._groups}

    def _in(self, group: str) -> list[Module]:
        return [self._modules[name] for name in self._groups[group]]

    def _is_foreign(self, thing: Thing, group: str) -> bool:
        """Whether another group makes it."""
        return thing.ours and self._of[thing.module] != group

    # What is kept

    def _visible(self, group: str) -> dict[Thing, str]:
        """Things of a group that are known outside by their names."""
        found: dict[Thing, str] = {}
        for module in self._in(group):
            names = set()
            if module.name in self._also:
                names = set(module.meaning) & {*self._outside, *self._also[module.name]}
            elif module.name in (self._entry, _REGISTRATION):
                names = {name for name in module.made if not name.startswith("_") or name == "__path__"}
            elif module.opaque:
                names = set(module.made)
            elif module.name == group:
                names = set(module.meaning) & self._known
            for name in sorted(names):
                thing = self._meanings.of(module, name)
                if not thing or not thing.ours or not thing.name or self._is_foreign(thing, group):
                    continue
                if thing.module == module.name or module.name == group or thing.module in self._also:
                    found[thing] = name
        return found | self._passed_on(group)

    def _passed_on(self, group: str) -> dict[Thing, str]:
        """Things of others that a group imports for whoever has it: it does not name them itself, or apps do."""
        found: dict[Thing, str] = {}
        module = self._modules[group]
        used = {use.name for part in module.parts for use in part.names.uses}
        names = self._outside if group in self._apart else self._known & set(module.meaning) - used
        for name in sorted(names):
            thing = self._meanings.of(module, name)
            if thing and (not thing.ours or thing.name and self._is_foreign(thing, group)):
                found[thing] = name
        return found

    def _check_phases(self) -> None:
        """Raises Failure when something is asked of a phase's module that it does not have."""
        parts = (part.statement for module in self._modules.values() for part in module.parts)
        for module, name in (asked for part in parts for asked in asked_of_phases(part)):
            if module in self._groups and name not in self._visible(module).values():
                raise Failure(f"{module} of a phase has no {name}")

    def _drop(self) -> None:
        """Leave out what nobody mentions."""
        made: dict[Thing, list[Part]] = {}
        kept = []
        for module in self._modules.values():
            for part in module.parts:
                for name in part.made:
                    made.setdefault(Thing(module.name, name, True), []).append(part)
                if not _may_go(part.statement):
                    kept.append(part)
        for group in self._groups:
            kept += [part for thing in self._visible(group) for part in made.get(thing, [])]
        alive = set(kept)
        while kept:
            for _use, thing in kept.pop().uses:
                new = [part for part in made.get(thing, []) if part not in alive]
                alive.update(new)
                kept += new
        for module in self._modules.values():
            module.parts = [part for part in module.parts if part in alive]

    # Names

    def _inner(self, group: str) -> set[str]:
        """Names that mean something else inside a group: in functions, or to the interpreter."""
        found = set(self._children)
        for module in self._in(group):
            for part in module.parts:
                found |= part.names.inner | self._unknown(module, part)
        return found

    def _unknown(self, module: Module, part: Part) -> set[str]:
        """The interpreter's own names in a part."""
        return {use.name for use in part.names.uses if self._meanings.of(module, use.name) is None}

    def _own_names(self, group: str) -> dict[Thing, str]:
        """The names of what a group makes."""
        found = self._visible(group)
        if len(set(found.values())) < len(found):
            raise Failure(f"two things of {group} are known outside by one name")
        modules = self._in(group)
        inner = self._inner(group)
        for module in modules:
            for part in module.parts:
                clash = {found[thing] for use, thing in part.uses if thing in found and found[thing] in use.hidden}
                clash |= self._unknown(module, part) & set(found.values())
                if clash:
                    raise Failure(
                        f"{min(clash)} of {group} is known outside, and means something else in {module.name}"
                    )
        if modules[0].opaque:
            return {thing: name for name in modules[0].meaning if (thing := self._meanings.of(modules[0], name))}
        taken = inner | set(found.values())
        parts = [part for module in modules for part in module.parts]
        free = self._free[group] = _free(part.statement for part in parts)
        classes = {part.statement.name for part in parts if isinstance(part.statement, ast.ClassDef)}
        for module in modules:
            for part in module.parts:
                for name in sorted(part.made):
                    thing = Thing(module.name, name, True)
                    if thing in found:
                        continue
                    if name in classes and not _SHORT.fullmatch(name) or part.is_folded:
                        # An error's, which a log has; or one that the compiler has no use for, thanks to its form.
                        name = next(each for each in _numbered(name) if each not in taken)
                    elif name in taken or not _SHORT.fullmatch(name):
                        name = next(each for each in free if each not in taken)
                    found[thing] = name
                    taken.add(name)
        return found

    def _name(self, thing: Thing, group: str, taken: set[str]) -> None:
        """Find a name in a group for what it imports."""
        if thing.ours and thing.name:
            wanted = self._names[self._of[thing.module]][thing]
        else:
            wanted = (thing.name or thing.module).replace(".", "_")
        if wanted in taken:
            others = self._free[group] if thing.ours and _SHORT.fullmatch(wanted) else _numbered(wanted)
            wanted = next(each for each in others if each not in taken)
        taken.add(wanted)
        self._names[group][thing] = wanted

    # Statements

    def _joined(self, group: str) -> ast.Module:
        names = self._names[group]
        taken = {*names.values(), *self._inner(group)}
        modules = self._in(group)
        uses = Counter(thing for module in modules for part in module.parts for _use, thing in part.uses)
        body: list[ast.stmt] = []
        there: set[Thing] = set()
        for module in modules:
            wanted: dict[Thing, None] = {}
            for thing in [thing for part in module.parts for _use, thing in part.uses]:
                if self._is_foreign(thing, group) and uses[thing] <= _FEW and thing not in names:
                    thing = Thing(self._of[thing.module], None, True)
                if self._is_foreign(thing, group) or not thing.ours:
                    wanted[thing] = None
            wanted.update(dict.fromkeys(module.idle))
            if module.name == group:
                wanted.update(dict.fromkeys(self._passed_on(group)))
            for other, called in module.imported.items():
                if called not in module.named and self._of[other] != group:
                    wanted[Thing(self._of[other], None, True)] = None
            new = [thing for thing in wanted if thing not in there]
            there.update(new)
            for thing in new:
                if thing not in names:
                    self._name(thing, group, taken)
            body += self._imports(new, group)
            for part in module.parts:
                body.append(_Renamer(part, group, self._of, self._names).visit(part.statement))
        return ast.Module(body, [])

    def _imports(self, things: Iterable[Thing], group: str) -> list[ast.stmt]:
        """Statements that give a group these things."""
        plain: list[ast.alias] = []
        others: dict[str, list[ast.alias]] = {}
        for thing in things:
            called = self._names[group][thing]
            if thing.name is None:
                plain.append(ast.alias(thing.module, called if called != thing.module else None))
                continue
            module, name = thing.module, thing.name
            if thing.ours:
                module = self._of[module]
                name = self._names[module][thing]
            others.setdefault(module, []).append(ast.alias(name, called if called != name else None))
        found: list[ast.stmt] = [ast.Import(plain)] if plain else []
        return found + [ast.ImportFrom(module, aliases, 0) for module, aliases in others.items()]


class _Resolver(ast.NodeTransformer):
    """Says what the names of a part mean, and puts values in their place."""

    def __init__(self, meanings: Meanings, of: Mapping[str, str], module: Module, part: Part) -> None:
        self._meanings, self._of, self._module, self._part = meanings, of, module, part
        self._known = {id(use.node): use for use in part.names.uses if isinstance(use.node, ast.Name)}

    def run(self) -> None:
        """Fill the part's `uses`."""
        for use in self._part.names.uses:
            if not isinstance(use.node, ast.Name):
                self._part.uses.append((use, Thing(self._module.name, use.name, True)))
        self._part.statement = self.visit(self._part.statement)

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802 - ast calls it
        thing = self._meanings.of(self._module, node.id) if id(node) in self._known else None
        if node.id == "const" and self._part.is_folded:
            return node
        return self._put(thing, node, node.ctx) if thing else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # noqa: N802
        if isinstance(node.value, ast.Name) and id(node.value) in self._known:
            thing = self._meanings.of(self._module, node.value.id)
            if thing and thing.ours and thing.name is None:
                self._module.named.add(node.value.id)
                return self._put(self._meanings.final(Thing(thing.module, node.attr, True)), node.value, node.ctx)
        return self.generic_visit(node)

    def _put(self, thing: Thing, place: ast.Name, context: ast.expr_context) -> ast.expr:
        load = isinstance(context, ast.Load)
        if thing.ours and thing.name is None:
            raise Failure(f"{self._module.name} uses the module {thing.module} as a value")
        if thing.ours and not load and thing.module != self._module.name:
            raise Failure(f"{self._module.name} changes {thing.name} of {thing.module}")
        value = self._meanings.value(thing)
        near = thing.ours and self._of[thing.module] == self._of[self._module.name]
        if load and value is not None and (near or isinstance(value, int)):
            return ast.Constant(value) if isinstance(value, (str, bytes)) or value >= 0 else _negative(value)
        new = ast.Name(str(thing.name), context)
        self._part.uses.append((scopes.Use(new, "id", hidden=self._known[id(place)].hidden), thing))
        return new


class _Renamer(ast.NodeTransformer):
    """Gives what a part names the names of its group."""

    def __init__(
        self, part: Part, group: str, of: Mapping[str, str], names: Mapping[str, Mapping[Thing, str]]
    ) -> None:
        self._of, self._names, self._group = of, names, group
        self._things = {}
        for use, thing in part.uses:
            if isinstance(use.node, ast.Name):
                self._things[id(use.node)] = thing
            else:
                use.rename(names[group][thing])

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802 - ast calls it
        thing = self._things.get(id(node))
        if thing is None:
            return node
        names = self._names[self._group]
        if thing in names:
            node.id = names[thing]
            return node
        other = self._of[thing.module]
        way = ast.Name(names[Thing(other, None, True)], ast.Load())
        return ast.Attribute(way, self._names[other][thing], node.ctx)


def _negative(value: int) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _known(trees: Iterable[ast.Module]) -> Iterator[str]:
    """What may mean a module's name without being one in this module."""
    for tree in trees:
        for node in walk(tree):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.ImportFrom) and node not in tree.body:
                yield from (alias.name for alias in node.names)


def _may_go(node: ast.stmt) -> bool:
    """Whether a statement does nothing but give names."""
    if isinstance(node, (*scopes.FUNCTIONS, ast.ClassDef)):
        return not node.decorator_list
    return (
        isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name) for target in node.targets)
        and _is_still(node.value)
    )


def _is_still(node: ast.expr) -> bool:
    """Whether evaluating it does nothing else."""
    still = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Dict, ast.UnaryOp, ast.BinOp, ast.Lambda)
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") == "const"
    return isinstance(node, still) and all(_is_still(inner) for inner in children(node) if isinstance(inner, ast.expr))


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in range(2, 1000):
        yield f"{name}_{number}"


def _free(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Short names: those first that attributes have anyway, since a name costs memory once."""
    attributes = {node.attr for each in statements for node in walk(each) if isinstance(node, ast.Attribute)}
    yield from sorted(name for name in attributes if _SHORT.fullmatch(name))
    letters = string.digits + string.ascii_letters
    yield from ("_" + letter for letter in letters)
    yield from ("_" + first + second for first in letters for second in letters)
