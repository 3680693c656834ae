"""Shortens the names of device code before it is compiled: MicroPython keeps every name in memory, for ever.

A name costs a chip 8 bytes and its letters as soon as any module that has it was loaded once. Names are of no use to
the device, so those that only Fargo's own code knows become short ones, the same again wherever two cannot meet:

* globals of modules, where no module has both;
* attributes, where no object can have both. An object has what the methods of its class store on their `self`, what the
  class binds or declares (`name: type`), and its bases' alike. Others may store on it what its class has or declares: a
  name that is stored so and that no class has is no other's name;
* a name that is a global here and an attribute there, of something that may be this module, is one name, and both hold;
* what a class body reads from its module is no name that the body binds.

The parameters of functions, and functions within functions, get short names that the function reads nothing else by. What
MicroPython has, strings, what callers give by keyword, errors' names and what apps use stay as they are, and none of these
is a new name. All of Fargo's modules are renamed together, and the result depends on their text and the app's alone.
"""

from __future__ import annotations

import ast
import builtins
import re
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from fargo.nodes import children, walk
from fargo.uses import FUNCTIONS, Scopes, constants, strings

_PRIVATE = re.compile(r"_[a-zA-Z][a-zA-Z0-9_]*$")
_SHORT = re.compile(r"_[0-9a-zA-Z]{1,2}$")
_SPECIAL = re.compile(r"__\w+__$")
_DIGITS = string.digits + string.ascii_letters
LONGEST = 3  # letters of a short name
_BUILTIN = frozenset(dir(builtins))
# Public names that MicroPython's own objects have as well, and those of the chip's modules.
_PLATFORM = """
accept access active add append args array broken buffer bytecode bytes_sent cancel cert clear clock close
closed code collect compression connect content context copy core coroutines count data decode decoder delete
digest done dumps empty encode encoder Encoder encoding end error event expected extra failed feed fields file files
find float flush format full function get getvalue group handle host hostname index info install ioctl item items
join keys last level lines load log major map message method mode mount name new notify offset on open options
outer pack partition path pending phase Pin platform post print_exception put random range read readable
readblocks readinto readline reason register remove request requests reset reset_cause result run seed seek
self send session set sign size sleep_ms source split start state status statvfs step stop stream sync take
target tasks tell threshold Timeout Timer times title total transport true type umount unpack update urandom
urls used value values verify_mode version wait wait_for waiter waiting when width write writeblocks
"""


def shorten(
    trees: Mapping[str, ast.Module],
    open_to_apps: Iterable[str] = (),
    public: Iterable[str] = (),
    mentioned: Collection[str] = (),
) -> dict[str, str]:
    """The text of the modules `trees`, which are changed, with short names.

    The parameters of modules `open_to_apps` stay: apps may give them by keyword. So do all names that `public` modules
    have, but for private ones, and those that are `mentioned`.
    """
    for module in open_to_apps:
        keep_parameters(trees[module])
    rename(trees, {name for module in public for name in public_names(trees[module])}, mentioned)
    return {module: ast.unparse(tree) for module, tree in trees.items()}


def rename(trees: Mapping[str, ast.Module], public: Collection[str] = (), mentioned: Collection[str] = ()) -> None:
    """Change the modules `trees` so that they have short names, but for what is `mentioned` or one of the `public` names."""
    keywords = {node.arg for node in _nodes(trees) if isinstance(node, ast.keyword)} | set(mentioned)
    _Names(trees, public, mentioned).shorten()
    for tree in trees.values():
        _Parameters(tree, keywords).rename()


def recall(trees: dict[str, ast.Module], mentioned: Collection[str] = ()) -> dict[str, str]:
    """Give the modules `trees` that have short names the first of these: what has the new name -> what it was called."""
    short = (name for name in series() if name not in mentioned)
    new = {module: next(short) if _SHORT.match(module) else module for module in trees}
    _name_all_imports(trees)
    for node in _nodes(trees):
        if isinstance(node, ast.Import):
            for alias in node.names:
                alias.name = new.get(alias.name, alias.name)
        elif isinstance(node, ast.ImportFrom):
            node.module = new.get(str(node.module), node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _SHORT.match(node.value):
            node.value = new.get(node.value, node.value)  # a phase's
    found = {new[module]: tree for module, tree in trees.items()}
    trees.clear()
    trees.update(found)
    return {short: module for module, short in new.items()}


def keep_parameters(tree: ast.Module) -> None:
    """Have the functions of a module keep their parameters, in whatever module they will be."""
    for node in walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.Lambda)):
            node.keeps_parameters = True  # type: ignore[union-attr]


def public_names(tree: ast.Module) -> set[str]:
    """What a module names, but for what is private."""
    return {name for node in walk(tree) for name, _stored in _names(node) if not _PRIVATE.match(name)}


def shorten_source(text: str) -> str:
    """The source `text` of a module that stays source, with short names but for its public ones, and without comments.

    Its private numbers stand where they are used. Raises SyntaxError.
    """
    tree = ast.parse(text)
    _place_numbers(tree)
    keywords = {node.arg for node in walk(tree) if isinstance(node, ast.keyword)}
    _Names({"": tree}, public_names(tree), ()).shorten()
    _Parameters(tree, keywords, also_locals=True).rename()
    return ast.unparse(tree) + "\n"


def _place_numbers(tree: ast.Module) -> None:
    """Have no `_X = 5` in a module that stays source, but its value wherever it is read."""
    found = {}
    for node in list(tree.body):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        name = getattr(node.targets[0], "id", "")
        if _PRIVATE.match(name) and type(node.value.value) is int:
            found[name] = node.value
            tree.body.remove(node)

    class Place(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return found.get(node.id, node)

    Place().visit(tree)


def mentions(text: str) -> set[str]:
    """Every name that the source `text` has, also as a string. Raises SyntaxError."""
    found = set()
    for node in walk(ast.parse(text)):
        found |= {name for name, _stored in _names(node)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        if isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found |= {alias.name for alias in node.names}  # it may be called otherwise there
    return found


def imported(text: str) -> set[str]:
    """Every module that the source `text` may import, also by a string. Raises SyntaxError."""
    found = set()
    for node in walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


# Names


_Key = tuple[str | None, str]  # (module, name) of a global; (None, name) of an attribute and all globals called alike


class _Names:
    """All names of the modules `trees`: where each is, and what may be done with it."""

    def __init__(self, trees: Mapping[str, ast.Module], public: Collection[str], mentioned: Collection[str]) -> None:
        self._trees = trees
        self._scopes = scopes = Scopes(trees)
        self._attributes = {use.name for use in scopes.uses if use.module is None}
        texts = {text for tree in trees.values() for text in strings(tree)}
        texts -= {module for module in trees if _SHORT.match(module)}  # what phases are given
        self._kept = {*texts, *mentioned, *_errors(trees), *_BUILTIN}
        self._kept |= {part for module in trees if "." in module for part in module.split(".")}
        self._kept_public = {*_PLATFORM.split(), *scopes.platform, *public}
        self._kept |= {node.arg for node in _nodes(trees) if isinstance(node, ast.keyword) and node.arg}
        # Constants that the compiler folds if a `_` begins their name, and then nobody can import them.
        self._constants = {self._key(module, name) for module, tree in trees.items() for name in constants(tree)}
        self._new: dict[_Key, str] = {}
        self._taken: dict[object, set[str]] = defaultdict(set)  # place -> new names that it has

    def shorten(self) -> None:
        """Rename all that may be."""
        _name_all_imports(self._trees)
        uses: dict[_Key, list[str]] = defaultdict(list)  # where, with repetitions
        origins: dict[_Key, set[_Key]] = defaultdict(set)
        for use in self._scopes.uses:
            key = self._key(use.module, use.name)
            uses[key].append(use.module or "")
            if use.origin:
                origins[key].add(self._key(*use.origin))
        keys = [key for key in uses if self._is_free(key)]
        while bound := {key for key in keys for origin in origins[key] if origin not in keys and origin[1] == key[1]}:
            keys = [key for key in keys if key not in bound]  # what is imported is called so anyway
        self._choose(sorted(keys, key=lambda key: (-len(uses[key]), key[1], key[0] or "")))
        for use in self._scopes.uses:
            new = self._new.get(self._key(use.module, use.name))
            if new is None:
                continue
            if use.field == "names":
                use.node.names = [new if name == use.name else name for name in use.node.names]  # type: ignore[attr-defined]
            else:
                setattr(use.node, use.field, new)
        _name_few_imports(self._trees)
        _take_out_declarations(self._trees)

    def _key(self, module: str | None, name: str) -> _Key:
        return (None if name in self._attributes else module), name

    def _is_free(self, key: _Key) -> bool:
        name = key[1]
        if name in self._kept or _SPECIAL.match(name) or not _PRIVATE.match(name) and name in self._kept_public:
            return False
        if key[0] is not None:
            return name in self._scopes.globals.get(key[0], ())
        return name in self._scopes.made or any(name in names for names in self._scopes.globals.values())

    def _choose(self, keys: list[_Key]) -> None:
        scopes = self._scopes
        classes = {key: scopes.of_objects(key) for key in list(scopes.classes)}
        everywhere = {name for found, known in classes.values() if not known for name in found}
        everywhere |= scopes.stored - {name for found, _known in classes.values() for name in found}
        everywhere -= {name for name in everywhere if name not in self._attributes}
        places: dict[str, list[object]] = defaultdict(list)  # of attributes
        for one, (found, _known) in classes.items():
            for name in found:
                places[name].append((one, "object"))
            for name in scopes.classes[one].body:
                places[name].append((one, "body"))
        read: dict[_Key, list[object]] = defaultdict(list)
        for one in classes:
            for name in scopes.classes[one].read:
                read[self._key(one[0], name)].append((one, "body"))
        chosen = set(keys)
        known = {use.name for use in scopes.uses if self._key(use.module, use.name) not in chosen}
        known |= self._kept | self._kept_public
        free = [name for name in series() if name not in known]
        unique: set[str] = set()
        for key in sorted(keys, key=lambda key: key[0] is not None or key[1] not in everywhere):
            module, name = key
            if module is not None:
                modules = [module]
            else:
                modules = [module for module, names in scopes.globals.items() if name in names]
            where = [*modules, *read[key], *(places[name] if module is None else ())]
            new = next(
                new
                for new in free
                if new not in unique
                and not any(new in self._taken[place] for place in where)
                and not any(new in scopes.locals[module] for module in modules)
                and not (key in self._constants and new[0] == "_")
            )
            if module is None and name in everywhere:
                unique.add(new)
            for place in where:
                self._taken[place].add(new)
            self._new[key] = new


def _nodes(trees: Mapping[str, ast.Module]) -> Iterator[ast.AST]:
    for tree in trees.values():
        yield from walk(tree)


def _name_all_imports(trees: Mapping[str, ast.Module]) -> None:
    """`from store import save as save`: what is imported and what it is called here may get different names."""
    for node in _nodes(trees):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in node.names if isinstance(node, ast.Import) or node.module in trees else ():
            if "." not in alias.name and alias.name != "*" and not alias.asname:
                alias.asname = alias.name


def _name_few_imports(trees: Mapping[str, ast.Module]) -> None:
    for node in _nodes(trees):
        if isinstance(node, ast.alias) and node.asname == node.name:
            node.asname = None


def _errors(trees: Mapping[str, ast.Module]) -> set[str]:
    """The names of exceptions: a log has them."""
    classes = [node for tree in trees.values() for node in walk(tree) if isinstance(node, ast.ClassDef)]
    found = {name for name in _BUILTIN if isinstance(getattr(builtins, name), type(Exception))}
    found = {name for name in found if issubclass(getattr(builtins, name), BaseException)}
    more = True
    while more:
        new = {node.name for node in classes if any(getattr(base, "id", "") in found for base in node.bases)}
        more = not new <= found
        found |= new
    return found


def _names(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """(name, whether it is made here) of everything that a node names."""
    if isinstance(node, ast.Name):
        yield node.id, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.Attribute):
        yield node.attr, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, True
    elif isinstance(node, ast.arg):
        yield node.arg, True
    elif isinstance(node, ast.alias):
        yield node.asname or node.name, bool(node.asname)


def series() -> Iterator[str]:
    """The short names, in the order in which they are given."""
    yield from ("_" + digit for digit in _DIGITS)
    for first in _DIGITS:
        yield from ("_" + first + second for second in _DIGITS)
    yield from (letter + digit for letter in string.ascii_letters for digit in string.digits)


def _take_out_declarations(trees: Mapping[str, ast.Module]) -> None:
    """`name: type` in classes: the compiler needs none."""
    for node in _nodes(trees):
        if isinstance(node, ast.ClassDef):
            node.body = [one for one in node.body if not (isinstance(one, ast.AnnAssign) and one.value is None)]
            node.body = node.body or [ast.Pass()]


# Parameters


class _Parameters:
    """The parameters of all functions of one module. A function and those within it are renamed together.

    With `also_locals` all that functions name, which only source needs: `.mpy` files have no other names of theirs.
    """

    def __init__(self, tree: ast.Module, keywords: Iterable[str | None], also_locals: bool = False) -> None:
        self._tree = tree
        self._all = also_locals
        self._kept = {*keywords, "self", "cls", *_BUILTIN, *_globals(tree)}

    def rename(self) -> None:
        for function in _outermost(self._tree):
            if hasattr(function, "keeps_parameters"):
                continue
            used = {node.id for node in walk(function) if isinstance(node, ast.Name)}
            short_ones = (name for name in series() if name not in used and name not in self._kept)
            short: dict[str, str] = {}
            inner = [node for node in walk(function) if isinstance(node, FUNCTIONS) and node is not function]
            if any(isinstance(node, ast.ClassDef) for node in walk(function)):
                continue  # its names are an object's, and mean something else than the function's
            for node in walk(function):
                named = [node.name] if node in inner else []
                for name in [*named, *(_parameters(node) if not self._all else _locals(node))]:
                    if name not in self._kept and name not in short:
                        short[name] = next(short_ones)
            kept = {arg.arg for node in walk(function) for arg in _others(node)}
            for node in inner:
                node.name = short.get(node.name, node.name)
            for node in walk(function):
                self._apply(node, {old: new for old, new in short.items() if old not in kept})

    @staticmethod
    def _apply(node: ast.AST, short: Mapping[str, str]) -> None:
        if isinstance(node, ast.Name):
            node.id = short.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = short.get(node.arg, node.arg)
        elif isinstance(node, ast.Nonlocal):
            node.names = [short.get(name, name) for name in node.names]
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = short.get(node.name, node.name)


def _globals(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        for inner in walk(node) if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) else (node,):
            if isinstance(inner, (*FUNCTIONS, ast.ClassDef)):
                yield inner.name
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id
            elif isinstance(inner, ast.alias):
                yield inner.asname or inner.name.split(".")[0]


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    for child in children(node):
        if isinstance(child, (*FUNCTIONS, ast.Lambda)):
            yield child
        else:
            yield from _outermost(child)


def _parameters(node: ast.AST) -> list[str]:
    return [arg.arg for arg in node.args.args] if isinstance(node, (*FUNCTIONS, ast.Lambda)) else []


def _locals(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    return _parameters(node)


def _others(node: ast.AST) -> list[ast.arg]:
    """Parameters that can only be given by keyword, and what catches the rest: these stay."""
    if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
        return []
    caught = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
    return [*node.args.kwonlyargs, *caught]
