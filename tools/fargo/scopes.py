"""Which names of a module's source are the module's own, as Python's rules of scope have it, and which a function's."""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fargo.console import Failure
from fargo.nodes import children, walk

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_REFUSED = (ast.Match, ast.TryStar)  # MicroPython has none


class Use(NamedTuple):
    """A place where a module's name stands: `field` of `node`, or the element `at` of that field.

    `hidden`: the names that mean something else there, so that no name of the module may be one of them.
    """

    node: ast.AST
    field: str
    at: int | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name."""
        found = getattr(self.node, self.field)
        return str(found if self.at is None else found[self.at])

    def rename(self, name: str) -> None:
        """Put another one there."""
        if self.at is None:
            setattr(self.node, self.field, name)
        else:
            getattr(self.node, self.field)[self.at] = name


class Names(NamedTuple):
    """`uses`: of names that are the module's, or nobody's here, as the builtins are. `inner`: what functions, classes and
    comprehensions bind. `bare`: places in class bodies where a name is the class's if it has it by then."""

    uses: list[Use]
    inner: set[str]
    bare: set[str]


def names(tree: ast.AST) -> Names:
    """All names of a module, or of a statement of a module. Raises Failure for what MicroPython does not have."""
    visitor = _Visitor()
    visitor.visit(tree, _Scope("module", None, set(), set()))
    return Names(visitor.uses, visitor.inner, visitor.bare)


@dataclasses.dataclass
class _Scope:
    kind: str
    parent: _Scope | None
    bound: set[str]
    declared: set[str]  # global

    def owns(self, name: str) -> bool:
        """Whether `name` is the module's when it stands here."""
        scope: _Scope | None = self
        while scope and scope.kind != "module":
            if scope is self or scope.kind != "class":
                if name in scope.declared:
                    return True
                if name in scope.bound:
                    return False
            scope = scope.parent
        return True

    @functools.cached_property
    def hidden(self) -> frozenset[str]:
        """The names that are not the module's here."""
        found: set[str] = set()
        scope: _Scope | None = self
        while scope and scope.kind != "module":
            if scope is self or scope.kind != "class":
                found |= scope.bound
            scope = scope.parent
        return frozenset(name for name in found if not self.owns(name))


class _Visitor:
    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.inner: set[str] = set()
        self.bare: set[str] = set()

    def _note(self, scope: _Scope, node: ast.AST, field: str, at: int | None = None) -> None:
        use = Use(node, field, at, scope.hidden)
        if scope.owns(use.name):
            self.uses.append(use)

    def visit(self, node: ast.AST | None, scope: _Scope) -> None:
        if node is None:
            return
        if isinstance(node, _REFUSED):
            raise Failure(f"{type(node).__name__} is nothing that MicroPython knows")
        if isinstance(node, ast.Name):
            if scope.kind == "class" and node.id in scope.bound and isinstance(node.ctx, ast.Load):
                self.bare.add(node.id)
            self._note(scope, node, "id")
        elif isinstance(node, FUNCTIONS):
            self._note(scope, node, "name")
            self._all([*node.decorator_list, node.returns, *_outside(node.args)], scope)
            self._function(node.args, node.body, scope)
        elif isinstance(node, ast.Lambda):
            self._all(_outside(node.args), scope)
            self._function(node.args, [node.body], scope)
        elif isinstance(node, ast.ClassDef):
            self._note(scope, node, "name")
            self._all([*node.decorator_list, *node.bases, *node.keywords], scope)
            self._all(node.body, self._enter("class", scope, node.body))
        elif isinstance(node, _COMPREHENSIONS):
            first = node.generators[0]
            self.visit(first.iter, scope)
            inside = self._enter("comprehension", scope, [each.target for each in node.generators])
            for each in node.generators:
                self._all([each.target, *each.ifs, *([] if each is first else [each.iter])], inside)
            self._all([getattr(node, field, None) for field in ("elt", "key", "value")], inside)
        elif isinstance(node, ast.Global):
            for at in range(len(node.names)):
                self._note(scope, node, "names", at)
        elif isinstance(node, ast.alias):
            if (node.asname or node.name) in scope.declared:
                raise Failure(f"{node.name} is imported in a function, as a name of the module")
        elif isinstance(node, ast.ExceptHandler):
            if node.name:
                self._note(scope, node, "name")
            self._all(children(node), scope)
        else:
            self._all(children(node), scope)

    def _all(self, nodes: Iterable[ast.AST | None], scope: _Scope) -> None:
        for node in nodes:
            self.visit(node, scope)

    def _function(self, args: ast.arguments, body: Iterable[ast.AST], scope: _Scope) -> None:
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        self._all(body, self._enter("function", scope, body, {arg.arg for arg in given if arg}))

    def _enter(self, kind: str, parent: _Scope, body: Iterable[ast.AST], bound: Iterable[str] = ()) -> _Scope:
        here, declared, further_out = set(bound), set(), set()
        for node in _own(body):
            if isinstance(node, ast.Global):
                declared |= set(node.names)
            elif isinstance(node, ast.Nonlocal):
                further_out |= set(node.names)
            else:
                here |= set(_bound(node))
        here -= further_out
        self.inner |= here - declared
        return _Scope(kind, parent, here, declared)


def _outside(args: ast.arguments) -> list[ast.AST | None]:
    """What of a function's parameters is evaluated where the function is made. Annotations are nothing to MicroPython."""
    return [*args.defaults, *args.kw_defaults]


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of one scope: not what is within its functions and classes."""
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            todo += node.decorator_list
        elif isinstance(node, _COMPREHENSIONS):
            todo += [each for each in walk(node) if isinstance(each, ast.NamedExpr)]  # of the function around it
        elif not isinstance(node, (ast.Lambda, ast.Name, ast.Constant)):
            todo += children(node)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)) or isinstance(node, ast.ExceptHandler) and node.name:
        yield str(node.name)
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.split(".")[0]
