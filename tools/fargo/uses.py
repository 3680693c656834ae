"""What each name in device code means: a global of some module, an attribute of an object, or a local of a function.

By Python's rules of scope, for the modules of an image together: what is imported from a module, or said of a module that
was imported or brought by a phase (`store.save`), is a global of that module.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fargo.nodes import children, walk

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_STATIC = {"staticmethod", "classmethod"}


class Use(NamedTuple):
    """One place of a name: `field` of `node`. `module`: whose global it is; None: an attribute. `origin`: for what an
    import binds, (module, name) that it is there."""

    node: ast.AST
    field: str
    name: str
    module: str | None
    origin: tuple[str, str] | None = None


class Class:
    """A class: what its own text gives its objects (`attributes`) and binds in its body (`body`), which globals that body
    reads (`read`), and its bases as (module, name), None for one that is not known."""

    def __init__(self) -> None:
        self.attributes: set[str] = set()
        self.body: set[str] = set()
        self.read: set[str] = set()
        self.bases: list[tuple[str, str] | None] = []


class Scopes:
    """All names of the modules `trees`.

    `uses`: of globals and attributes. `globals`: module -> what it binds. `locals`: module -> names of its functions, and
    of constants that the compiler folds. `classes`: (module, name) -> Class. `stored`: attributes that somebody else than a
    method of the object gives a value. `made`: all attributes that are given one. `platform`: names of what is imported.
    """

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        self.trees = trees
        self.uses: list[Use] = []
        self.globals = {module: {*_bindings(tree)} | _declared(tree) for module, tree in trees.items()}
        self.locals: dict[str, set[str]] = defaultdict(set)
        self.classes: dict[tuple[str, str], Class] = defaultdict(Class)
        self.stored: set[str] = set()
        self.made: set[str] = set()
        self.platform: set[str] = set()
        for module, tree in trees.items():
            folded = {name for name in constants(tree) if name[0] == "_"}
            self.globals[module] -= folded
            self.locals[module] |= folded
            _Walk(self, module, tree)

    def of_objects(self, key: tuple[str, str]) -> tuple[set[str], bool]:
        """(what objects of a class may have by its text and its bases', whether all of these are known)."""
        found, todo, known = set(), [key], True
        seen = set()
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            found |= self.classes[one].attributes
            for base in self.classes[one].bases:
                if base is None:
                    known = False
                else:
                    todo.append(base)
        return found, known


def constants(tree: ast.Module) -> set[str]:
    """The names of `X = const(...)`."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "const"
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def strings(node: ast.AST) -> set[str]:
    """All texts in a node."""
    return {one.value for one in walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


class _Function:
    """The scope of a function, lambda or comprehension: what it binds, and to which modules."""

    def __init__(self, node: ast.AST, modules: Mapping[str, object]) -> None:
        said = [one for one in _own(node) if isinstance(one, (ast.Global, ast.Nonlocal))]
        self.globals = {name for one in said if isinstance(one, ast.Global) for name in one.names}
        self.names = {*_bindings(node)} - {name for one in said for name in one.names}
        self.modules = _modules(node, modules)


class _Walk:
    """Reads one module into `scopes`."""

    def __init__(self, scopes: Scopes, module: str, tree: ast.Module) -> None:
        self._scopes = scopes
        self._module = module
        self._modules = _modules(tree, scopes.trees)
        self._functions: list[_Function] = []
        self._class: Class | None = None  # whose body this is
        self._self: tuple[str, Class] | None = None  # how the method calls its object, and of which class
        for node in tree.body:
            self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self._name(node, "id", node.id)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, (*FUNCTIONS, ast.Lambda)):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class_of(node)
        elif isinstance(node, _COMPREHENSIONS):
            first, *others = node.generators
            self._visit(first.iter)  # which is the scope around it still
            values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            self._inside(node, [*values, first.target, *first.ifs, *others])
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            for name in node.names if isinstance(node, ast.Global) else ():
                self._add(node, "names", name, self._module)
        elif isinstance(node, ast.ExceptHandler) and node.name and not self._functions:
            self._name(node, "name", node.name)
            self._children(node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            # What is changed was there: nobody gets an attribute by it.
            self._visit(node.target.value)
            self._attribute(node.target, changed=True)
            self._visit(node.value)
        else:
            self._children(node)

    def _children(self, node: ast.AST) -> None:
        for child in children(node):
            self._visit(child)

    def _add(self, node: ast.AST, field: str, name: str, module: str | None) -> None:
        self._scopes.uses.append(Use(node, field, name, module))

    def _is_local(self, name: str) -> bool:
        for function in reversed(self._functions):
            if name in function.globals:
                return False
            if name in function.names:
                return True
        return False

    def _name(self, node: ast.AST, field: str, name: str, origin: tuple[str, str] | None = None) -> None:
        scopes = self._scopes
        if self._class is not None and name in self._class.body:
            self._scopes.uses.append(Use(node, field, name, None))
            if name in scopes.globals[self._module]:  # it may mean either, at different times
                self._scopes.uses.append(Use(node, field, name, self._module))
        elif self._is_local(name) or name not in scopes.globals[self._module]:
            scopes.locals[self._module].add(name)
        else:
            scopes.uses.append(Use(node, field, name, self._module, origin))
            if self._class is not None:
                self._class.read.add(name)

    def _meant(self, node: ast.AST) -> str | None:
        """The module that an expression is, ours or the platform's; None when it is something else."""
        if not isinstance(node, ast.Name):
            return None
        for function in reversed(self._functions):
            if node.id in function.names:
                return function.modules.get(node.id)
        return None if self._class is not None and node.id in self._class.body else self._modules.get(node.id)

    def _attribute(self, node: ast.Attribute, changed: bool = False) -> None:
        scopes = self._scopes
        stored = not isinstance(node.ctx, ast.Load)
        meant = self._meant(node.value)
        if not changed:
            self._visit(node.value)
        if meant in scopes.trees:
            if stored:
                scopes.globals[str(meant)].add(node.attr)
            self._add(node, "attr", node.attr, meant)
            return
        if meant:
            scopes.platform.add(node.attr)
            return
        self._add(node, "attr", node.attr, None)
        if stored:
            scopes.made.add(node.attr)
            own = self._self is not None and getattr(node.value, "id", "") == self._self[0]
            if own and self._self is not None and not self._hidden(self._self[0]):
                self._self[1].attributes.add(node.attr)
            elif not changed:
                scopes.stored.add(node.attr)

    def _hidden(self, name: str) -> bool:
        """Whether an inner function has another `self`, or the method gives it another value."""
        return any(name in function.names for function in self._functions[1:])

    def _function(self, node: ast.AST) -> None:
        args = node.args  # type: ignore[attr-defined]
        if not isinstance(node, ast.Lambda):
            if not self._functions or self._class is not None:
                self._name(node, "name", node.name)  # type: ignore[attr-defined]
            for one in node.decorator_list:  # type: ignore[attr-defined]
                self._visit(one)
        for one in (*args.defaults, *(one for one in args.kw_defaults if one)):
            self._visit(one)
        before = self._self
        if self._class is not None:
            first = args.args[0].arg if args.args else ""
            again = any(n.id == first and isinstance(n.ctx, ast.Store) for n in walk(node) if isinstance(n, ast.Name))
            static = {getattr(one, "id", "") for one in getattr(node, "decorator_list", ())} & _STATIC
            self._self = None if again or static or self._functions else (first, self._class)
        elif not self._functions:
            self._self = None
        body = node.body if isinstance(node.body, list) else [node.body]  # type: ignore[attr-defined]
        self._inside(node, body)
        self._self = before

    def _inside(self, node: ast.AST, body: Iterable[ast.AST]) -> None:
        function = _Function(node, self._scopes.trees)
        self._scopes.locals[self._module] |= function.names
        outer, self._class = self._class, None
        self._functions.append(function)
        for child in body:
            self._visit(child)
        self._functions.pop()
        self._class = outer

    def _class_of(self, node: ast.ClassDef) -> None:
        if not self._functions or self._class is not None:
            self._name(node, "name", node.name)
        for one in (*node.decorator_list, *node.bases, *(k.value for k in node.keywords)):
            self._visit(one)
        # Of one in a function or a class nothing else knows the name; two may have the same.
        top = not self._functions and self._class is None
        found = self._scopes.classes[self._module, node.name if top else f"{node.name}:{node.lineno}"]
        found.bases += [base for base in map(self._base, node.bases) if base != ("", "")]
        found.body |= {*_bindings(node)}
        found.attributes |= found.body | {
            n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
        }
        self._scopes.made |= found.body
        before = self._class, self._functions, self._self
        self._class, self._self = found, None
        for child in node.body:
            self._visit(child)
        self._class, self._functions, self._self = before

    def _base(self, node: ast.AST) -> tuple[str, str] | None:
        """The class that a base is; ("", "") for one of the platform."""
        module, name = self._module, ""
        if isinstance(node, ast.Name) and not self._is_local(node.id):
            name = node.id
        elif isinstance(node, ast.Attribute) and (meant := self._meant(node.value)):
            module, name = meant, node.attr
        else:
            return None
        for _ in range(10):  # of imports
            tree = self._scopes.trees.get(module)
            if tree is None:
                return "", ""
            if any(isinstance(n, ast.ClassDef) and n.name == name for n in tree.body):
                return module, name
            if name not in self._scopes.globals[module]:
                return "", ""  # a builtin
            origin = next((o for o in _origins(tree) if o[0] == name), None)
            if origin is None:
                return None
            module, name = origin[1:]
        return None

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        trees = self._scopes.trees
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            if isinstance(node, ast.Import):
                if "." not in alias.name or alias.asname:
                    self._name(alias, "asname", name, None if alias.name in trees else ("", alias.name))
                if alias.name not in trees:
                    self._scopes.platform.add(alias.name)
                continue
            origin = str(node.module)
            if origin in trees:
                self._add(alias, "name", alias.name, origin)
            else:
                self._scopes.platform.add(alias.name)
            self._name(alias, "asname", name, (origin, alias.name) if not alias.asname else None)


# What a scope binds


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the scopes within it, but with these themselves."""
    todo = _parts(node)
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, (*FUNCTIONS, ast.Lambda)):
            todo += one.args.defaults + [d for d in one.args.kw_defaults if d]
            todo += [] if isinstance(one, ast.Lambda) else one.decorator_list
        elif isinstance(one, ast.ClassDef):
            todo += one.bases + one.decorator_list
        elif isinstance(one, _COMPREHENSIONS):
            # `:=` in it binds here.
            todo += [n for n in walk(one) if isinstance(n, ast.NamedExpr)]
        else:
            todo += children(one)


def _parts(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, (*FUNCTIONS, ast.Lambda)):
        body = node.body if isinstance(node.body, list) else [node.body]
        return [node.args, *body]
    if isinstance(node, (ast.ClassDef, ast.Module)):
        return list(node.body)
    return list(children(node))


def _bindings(node: ast.AST) -> Iterator[str]:
    """The names that a scope binds itself, each as often as it does."""
    for one in _own(node):
        if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            yield one.id
        elif isinstance(one, ast.arg):
            yield one.arg
        elif isinstance(one, (*FUNCTIONS, ast.ClassDef)):
            yield one.name
        elif isinstance(one, ast.ExceptHandler):
            yield from [one.name] if one.name else []
        elif isinstance(one, ast.alias) and one.name != "*":
            yield one.asname or one.name.split(".")[0]


def _declared(node: ast.AST) -> set[str]:
    """What functions say is global."""
    return {name for one in walk(node) if isinstance(one, ast.Global) for name in one.names}


def _origins(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(name here, module, name there) of what a module imports from others."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, str(node.module), alias.name) for alias in node.names)


def _modules(node: ast.AST, ours: Mapping[str, object]) -> dict[str, str]:
    """Name -> module, of what a scope binds once, to a module."""
    times = Counter(_bindings(node))
    declared = _declared(node)
    found = {}
    for one in _own(node):
        if isinstance(one, ast.Import):
            for alias in one.names:
                if alias.asname or "." not in alias.name:
                    found[alias.asname or alias.name] = alias.name
        elif isinstance(one, ast.ImportFrom):
            for alias in one.names:
                if one.module not in ours or f"{one.module}.{alias.name}" in ours:
                    found[alias.asname or alias.name] = f"{one.module}.{alias.name}"
        elif isinstance(one, ast.withitem):
            found.update(_phase(one, ours))
    return {name: module for name, module in found.items() if times[name] == 1 and name not in declared}


def _phase(item: ast.withitem, ours: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """`with phase("store_") as store`: (name, module) of what it brings."""
    call = item.context_expr
    if not isinstance(call, ast.Call):
        return
    into = item.optional_vars
    targets = into.elts if isinstance(into, ast.Tuple) else [into]
    for arg, target in zip(call.args, targets, strict=False):
        name = arg.value if isinstance(arg, ast.Constant) else None
        if (
            len(targets) == len(call.args)
            and isinstance(target, ast.Name)
            and isinstance(name, str)
            and name in ours
            and (getattr(call.func, "id", "") == "phase" or name.startswith("_"))
        ):
            yield target.id, name
