"""Puts the names that every device comes to know into the phase that makes them known at once: see firmware.known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeGuard

from fargo import scopes

MODULE = "firmware.known"
_INTERNED = 10  # characters of a text that MicroPython keeps as a name
# What is loaded at every start, and when an owner's Client asks.
_ROOTS = (
    "firmware.start", "firmware.provision", "firmware.repair", "firmware.room", "firmware.folder", "swupdate.label",
    "firmware.seen", "ocf.recorded", "ocf.security.load", "ocf.security.stored", "firmware.parts", "swupdate.rfc3339",
    "firmware.begin", "swupdate.boot", "swupdate.recorded", "swupdate.reconcile", "swupdate.floor", "swupdate.feeding",
    "swupdate.otadata", "firmware.events", "port.sockets", "firmware.settle", "firmware.ntp", "firmware.sntp",
    "swupdate.install.dns", "crypto.p256", "ocf.discovery", "coap.transfer", "coap.registration", "dtls.cookie",
    "dtls.server", "dtls.hello", "dtls.inbox", "dtls.keys", "crypto.ecdh", "ocf.security.credentials", "ocf.update",
    "swupdate.wish",
)  # fmt: skip


def fill(trees: Mapping[str, ast.Module], called: Mapping[str, str], entry: str) -> None:
    """Change the module of `trees`, whose names are final; `called`: module -> what it is in the image."""
    if called.get(MODULE) not in trees:
        return
    wanted = {called[name] for name in _ROOTS if called.get(name) in trees}
    todo = list(wanted)
    while todo:
        for node in ast.walk(trees[todo.pop()]):
            if isinstance(node, ast.Import):
                new = {alias.name for alias in node.names} & set(trees) - wanted - {entry}
                wanted |= new
                todo += new
    known = {*_names(trees[entry]), *_names(trees[called[MODULE]])}
    found = {name for module in wanted for name in _names(trees[module])} - known
    for node in ast.walk(trees[called[MODULE]]):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == "''":
            node.args[0] = _text(found | wanted)


def extend(text: str, trees: Iterable[ast.Module]) -> str:
    """`text` of the module that `fill` has filled, with the names of an app's modules as well.

    Among the app's own code they would cut to pieces what it leaves to an update (firmware.leaving).
    """
    module = ast.parse(text)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and re.fullmatch(r"(\S+ )+", str(node.value)):
            there = set(str(node.value).split())
            node.value = _text(there | {name for tree in trees for name in _names(tree)}).value
    return ast.unparse(module)


def _text(names: Iterable[str]) -> ast.Constant:
    return ast.Constant("".join(name + " " for name in sorted(names)))


def _names(tree: ast.Module) -> Iterator[str]:
    """What a module has in its table of names, but for a few."""
    left = {id(node) for other in ast.walk(tree) if _is_left_out(other) for node in ast.walk(other)}
    constants = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) in left}
    for use in scopes.names(tree).uses:
        if use.name not in constants:
            yield use.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            yield node.arg
        elif isinstance(node, (*scopes.FUNCTIONS, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Constant) and id(node) not in left and _is_name(node.value):
            yield node.value


def _is_left_out(node: ast.AST) -> bool:
    """Whether it is a constant's own name, or a tuple of constants, whose texts are objects."""
    if isinstance(node, ast.Assign):
        target = ast.unparse(node.targets[0])
        return target.startswith("_") and ast.unparse(node.value).startswith("const(")
    return isinstance(node, ast.Tuple) and all(isinstance(one, ast.Constant) for one in node.elts)


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= _INTERNED and value.isidentifier()
