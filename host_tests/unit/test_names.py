"""Short names for device code: the same behaviour, and as few names as there can be."""

import ast
import asyncio
import builtins
import io
import os
import re
import socket
import subprocess

import pytest
from fargo import bundle, flat, names
from fargo.bundle import ROOT
from fargo.console import Failure
from fargo.uses import Scopes

LAMP = ROOT / "examples/lamp"


def ran(text, **known):
    """The globals of a module that was run."""
    found = dict(known)
    exec(text, found)
    return found


def short(*open_to_apps, mentioned=(), public=(), **sources):
    trees = {module: ast.parse(text) for module, text in sources.items()}
    return names.shorten(trees, open_to_apps, public, mentioned)


def flattened(kept=(), **sources):
    """Modules, "__" in their names a dot, with the new names of each other."""
    new = flat.called([name.replace("__", ".") for name in sources], kept)
    trees = {new[name.replace("__", ".")]: flat.flatten(ast.parse(text), new) for name, text in sources.items()}
    return {module: ast.unparse(tree) for module, tree in trees.items()}


def new_names(text):
    """The short ones that a text has."""
    return set(re.findall(r"\b_[0-9a-zA-Z]{1,2}\b", text))


def test_names_are_short_and_shared_between_modules():
    found = short(
        one="class One:\n    def __init__(self):\n        self._count = 1\n",
        two="class Two:\n    def __init__(self):\n        self.other = self._more = 2\n",
    )
    assert new_names(found["one"]) == {"_0"}  # the class's own as well: that is a global
    assert new_names(found["two"]) == {"_0", "_1"}
    assert "other" not in found["two"] and "_more" not in found["two"]


def test_a_name_of_the_app_is_no_short_one():
    """Its class may inherit from one of ours, and its objects have attributes that ours know nothing of."""
    text = "class One:\n    def __init__(self):\n        self._hidden = self.public = 1\n"
    assert new_names(short(one=text)["one"]) == {"_0", "_1"}
    assert new_names(short(one=text, mentioned={"_1", "_0"})["one"]) == {"_2", "_3"}


@pytest.mark.parametrize(
    "text",
    [
        "from port import const\n_LIMIT = const(5)\nfound = _LIMIT\n",  # the compiler folds it only with its underscore
        "def read(thing):\n    return thing._io_queue\n",  # made by somebody else
        "class C:\n    _named = 1\nfound = getattr(C, '_named')\n",  # may be meant by a string
        "import port._micropython\nfrom port._micropython import sleep\n",  # a module
    ],
)
def test_what_others_know_stays(text):
    kept = short(**{"one": text, "port._micropython": "sleep = 1"})["one"]
    for name in ("_LIMIT", "_io_queue", "_named", "_micropython"):
        assert (name in text) == (name in kept)


def test_parameters_become_letters_and_mean_the_same():
    text = """
b = 100
def total(first, second, *rest, scale=1, **named):
    inner = lambda second, third: (second, third, first)
    def deeper(fourth):
        nonlocal first
        first = first + fourth
        return [first for first in (fourth, second)]
    a = deeper(second)
    return scale * (first + second + sum(rest) + b + named.get("extra", 0)), inner(1, 2), a
def other(amount, label="x"):
    return amount, label
found = total(1, 2, 3, scale=2, extra=4), other(1, label="y"), other(5)
"""
    found = short(one=text, mentioned={"found"})["one"]
    assert ran(found)["found"] == ran(text)["found"]
    assert "label='x'" in found and "amount" not in found and "fourth" not in found
    assert short("one", one=text)["one"].count("amount") == 2


def test_source_keeps_what_is_public_and_no_local_name():
    text = """
class Reader:
    def __init__(self, start):
        self._place = start
    def read(self, amount, limit=3):
        least = min(amount, limit)  # words
        self._place += least
        return self._place
found = Reader(2).read(5, limit=4)
"""
    new = names.shorten_source(text)
    assert ran(new)["found"] == ran(text)["found"] == 6
    assert not {"start", "_place", "amount", "least", "words"} & set(re.findall(r"\w+", new))
    assert {"Reader", "read", "limit", "found"} <= set(re.findall(r"\w+", new))


def test_private_numbers_of_a_module_that_stays_source_stand_where_they_are_used():
    text = """
_SIZE = 4
_BOTH = (_SIZE, 8)
LEAST = 2
def work(n):
    return n * _SIZE + _BOTH[1] + LEAST
found = work(3)
"""
    new = names.shorten_source(text)
    assert ran(new)["found"] == ran(text)["found"] == 22
    assert " * 4" in new and "= 4" not in new and "LEAST = 2" in new


def test_errors_that_are_caught_keep_their_name_apart():
    text = """
def work(error, value):
    try:
        return 1 // value
    except ZeroDivisionError as problem:
        return error, str(problem)
found = work("bad", 0)
"""
    assert ran(short(one=text, mentioned={"found"})["one"])["found"] == ran(text)["found"]


def test_what_apps_errors_and_keywords_name_stays():
    text = """
class Alarm(ValueError):
    pass
class Louder(Alarm):
    pass
class Bell:
    def __init__(self, **fields):
        self.fields = fields
    def ring_it(self):
        return Bell(tone_of_it=5)
    def readinto(self, buf):
        return 0
tone_of_it = used_by_app = 1
"""
    found = short(one=text, mentioned={"used_by_app"})["one"]
    for name in ("Alarm", "Louder", "tone_of_it", "used_by_app", "readinto"):
        assert name in found
    assert "ring_it" not in found and "Bell" not in found
    public = short(one=text, public=["one"])["one"]
    assert "Bell" in public and "ring_it" in public


def test_modules_lie_beside_the_app_under_short_names():
    found = flattened(
        near__store="import sys\nfrom port import phase\nwith phase('far.install.store', 'app') as code:\n    pass\n",
        far__install__store="import near.store\nfrom near.store import code\nfrom far import open_one, install as inner\n",
        far__install="value: int\nclass Only:\n    field: str\n",
        far__open_one="",
        port="import sys\nif sys.implementation.name == 'micropython':\n    a = 1\nelse:\n    from port import _cpython\n",
        kept=["far.open_one"],
    )
    assert set(found) == {"_0", "_1", "_2", "far.open_one", "port"}
    install, far, near = "_0", "_1", "_2"  # in the order of their long ones
    assert f"phase('{far}', 'app')" in found[near]
    assert found[far].splitlines() == [
        f"import {near}", f"from {near} import code", f"import {install} as inner", "from far import open_one"
    ]  # fmt: skip
    assert found[install] == "class Only:\n    field: str" and "cpython" not in found["port"]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """(the files of an image, the same with short names)."""
    files = bundle.device_files(LAMP)
    return files, bundle.shortened(files, tmp_path_factory.mktemp("short"))


def test_the_device_has_few_names(device, tmp_path):
    files, found = device
    assert found["app.py"] == files["app.py"]  # the maker's, whose names are his
    before = set().union(*(identifiers(path.read_text()) for name, path in files.items() if name != "app.py"))
    after = set().union(*(identifiers(path.read_text()) for name, path in found.items() if name != "app.py"))
    assert len([name for name in before if name[0] == "_"]) > 300 and len(before) > 1100 > 2 * len(after)
    assert len([name for name in after if re.fullmatch("_[a-zA-Z0-9]{1,2}", name)]) < 90
    assert sum(map(len, after)) < sum(map(len, before)) // 2
    again = bundle.shortened(files, tmp_path)
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: path.read_bytes() for name, path in again.items()
    }


def test_no_short_name_was_one_of_the_platform(device):
    """What MicroPython or a chip's module calls by its name must not have another one."""
    files, found = device
    trees = {flat.module(name): ast.parse(path.read_text()) for name, path in files.items() if name != "app.py"}
    gone = {use.name for use in Scopes(trees).uses if use.module is None}  # of objects; modules are no platform's
    gone -= set().union(*(attributes(path.read_text()) for path in found.values()))
    # Those that are never shortened are gone with what nobody calls.
    public = {name for name in gone if name[0] != "_"} - set(names._PLATFORM.split())
    assert len(public) > 150
    classes = (asyncio.Task, asyncio.Event, asyncio.Lock, asyncio.StreamReader, asyncio.StreamWriter, io.RawIOBase,
               io.BytesIO, socket.socket, str, bytes, bytearray, memoryview, int, dict, list, set, Exception)  # fmt: skip
    for thing in (*classes, asyncio, builtins, os, socket, io):
        assert not public & set(dir(thing)), thing
    text = (
        "import asyncio, binascii, gc, hashlib, io, machine, micropython, os, random, select, socket, struct, sys, time\n"
        "import tls, vfs\n"
        "for thing in list(globals().values()):\n    for name in dir(thing):\n        print(name)\n"
        "        print(*dir(getattr(thing, name)))\n"
    )
    done = subprocess.run(["micropython", "-c", text], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) > 500
    known = public & set(done.stdout.split())
    assert not known, sorted(known)
    chip = [(ROOT / f"board/sim/{name}.py").read_text() for name in ("esp32", "peripherals")]
    simulation = {"Clock", "erase", "keep", "make", "slots", "table"}  # its own, which no chip has
    known = (public & set().union(*map(identifiers, chip))) - simulation
    assert not known, sorted(known)


def test_what_an_app_mentions_keeps_its_name(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text("import dtls.transport\nasync def main(device):\n    device.updater.tell_me = 1\n")
    files = bundle.device_files(app)
    found = bundle.shortened(files, tmp_path / "short")
    assert "dtls/transport.py" in found
    assert "import dtls.transport" in found["main.py"].read_text()
    assert "self.updater.state" in found["main.py"].read_text()
    for name in ("_0.py", "_0.mpy"):  # no module of ours is called as the app's
        (app / name).write_text("")
        assert bundle.shortened(bundle.device_files(app), tmp_path / "short")[name] == app / name
        (app / name).unlink()
    for name, own in (("cbor.py", "cbor/__init__.py"), ("board.mpy", "board.py")):
        (app / name).write_text("")
        with pytest.raises(Failure, match=f"would hide Fargo's own {own}"):
            bundle.device_files(app)
        (app / name).unlink()


APP = """
from cbor import encode_into as put
from coap.message import Response as Answer
from crypto.curve import inverse as upside_down
from ocf.resource import Refused

assert put(buf=bytearray(9), value=1) == 1 and upside_down(a=2, m=5) == 3
assert Answer(code=0x45, etag=b"x").etag == b"x"
try:
    raise Refused(code=0x80, text="why")
except Refused as error:
    print(error.code, error.text)
"""


def test_an_app_may_give_what_it_imports_another_name_and_parameters_theirs(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(APP)
    bundle.shortened(bundle.device_files(app), tmp_path / "short")
    for name in ("esp32", "machine", "network"):  # of a chip
        (tmp_path / f"short/{name}.py").write_text("")
    command = ["micropython", "-X", "heapsize=4m", app / "app.py"]
    environment = {**os.environ, "MICROPYPATH": f"{tmp_path / 'short'}:.frozen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "128 why\n", done.stderr + done.stdout


def attributes(text):
    """What is asked of objects."""
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}


def identifiers(text):
    """The names that stay in memory, of attributes, functions and what a module has: not what the compiler folds."""
    tree = ast.parse(text)
    folded = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(getattr(node.value, "func", None), "id", "") == "const"
    }
    found = {getattr(node, "attr", None) or getattr(node, "name", None) for node in ast.walk(tree)}
    return {name for name in found if name} - folded
