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


def test_private_names_are_short_and_shared_between_modules():
    found = short(
        one="class One:\n    def __init__(self):\n        self._count = 1\n",
        two="class Two:\n    def __init__(self):\n        self._other = self._more = 2\n",
    )
    assert set(re.findall(r"\b_\w+", found["one"])) == {"__init__", "_0", "_1"}  # the class's own is one
    assert set(re.findall(r"\b_\w+", found["two"])) == {"__init__", "_0", "_1", "_2"}


def test_a_class_and_what_it_inherits_from_share_no_name():
    found = short(
        base="class Base:\n    def _a_step(self):\n        return 1\n    def go(self):\n        return self._a_step()\n",
        child="from base import Base\nclass Child(Base):\n    def _another(self):\n        return 2\n",
        grandchild="from child import Child\nclass Last(Child):\n    def __init__(self):\n        self._third = 3\n",
    )
    new = [set(re.findall(r"\b_[a-z0-9]\b", found[module])) for module in ("base", "child", "grandchild")]
    assert sum(len(one) for one in new) == 8  # Base and Child are in two of them
    assert len(set.union(*new)) == 6


def test_a_name_of_the_app_is_no_short_one():
    """Its class may inherit from one of ours, and its objects have attributes that ours know nothing of."""
    text = "class One:\n    def __init__(self):\n        self._hidden = self.public = 1\n"
    assert {"_1", "a0"} <= set(re.findall(r"\w+", short(one=text)["one"]))
    assert not {"_1", "a0"} & set(re.findall(r"\w+", short(one=text, mentioned={"_1", "a0"})["one"]))


def test_what_two_modules_call_alike_stays_alike():
    found = short(one="class One:\n    _inner = 5\n", two="import one\ndef look(thing):\n    return thing._inner\n")
    assert re.findall(r"_\w", found["one"]) == re.findall(r"_\w", found["two"])


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


def test_public_names_of_objects_are_short_and_each_another():
    found = short(
        one="class One:\n    level_one = 1\n    def begin_it(self):\n        return self.level_one\n",
        two="class Two:\n    level_two = 2\ndef look_at(thing):\n    thing.seen_by = thing.level_one\n",
    )
    new = set(re.findall(r"\b[a-zA-Z]\d\b", found["one"] + found["two"]))
    assert len(new) == 4 and "level" not in found["one"] + found["two"]
    assert ran(found["one"] + "\n" + found["two"])


def test_functions_of_modules_that_never_meet_share_a_name():
    found = short(
        one="def first_thing():\n    return 1\n",
        two="def second_thing():\n    return 2\n",
        three="import one\nimport two\ndef third_thing():\n    return one.first_thing()\n",
        four="import two\nfourth_thing = two.second_thing\n",
    )
    new = {module: re.findall(r"(?:def )(_\w)", text) for module, text in found.items()}
    assert new["one"] == new["two"] == ["_0"] and new["three"] == ["_1"]
    assert "one._0()" in found["three"] and "two._0" in found["four"]


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
    assert set(found) == {"store_", "install_store_", "install_", "far.open_one", "port"} or set(found) == {
        "near_store_", "store_", "install_", "far.open_one", "port"
    }  # fmt: skip
    near, far = (name for name in found if "store" in name)
    if "phase" not in found[near]:
        near, far = far, near
    assert f"phase('{far}', 'app')" in found[near]
    assert found[far].splitlines() == [
        f"import {near}", f"from {near} import code", "import install_ as inner", "from far import open_one"
    ]  # fmt: skip
    assert found["install_"] == "class Only:\n    pass" and "cpython" not in found["port"]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """(the files of an image, the same with short names)."""
    files = bundle.device_files(LAMP)
    return files, bundle.shortened(files, tmp_path_factory.mktemp("short"))


def test_the_device_has_few_names(device, tmp_path):
    files, found = device
    assert found["app.py"] == files["app.py"]  # the maker's, whose names are his
    before, after = (
        set().union(*(identifiers(ast.parse(path.read_text())) for name, path in some.items() if name != "app.py"))
        for some in (files, found)
    )
    assert len([name for name in before if name[0] == "_"]) > 300
    assert len([name for name in after if re.fullmatch("_[a-zA-Z0-9]+", name)]) < 80
    assert sum(map(len, after)) < sum(map(len, before)) // 2
    again = bundle.shortened(files, tmp_path)
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: path.read_bytes() for name, path in again.items()
    }


def test_no_short_name_was_one_of_the_platform(device):
    """What MicroPython or a chip's module calls by its name must not have another one."""
    files, _found = device
    gone = set().union(*(identifiers(ast.parse(path.read_text())) for path in files.values()))
    gone -= set().union(*(identifiers(tree) for tree in bundle.renamed(files).values()), {"*"})
    public = {name for name in gone if name[0] != "_"}
    assert len(public) > 200
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
    known = (public & set().union(*(identifiers(ast.parse(text)) for text in chip))) - simulation
    assert not known, sorted(known)


def test_what_an_app_mentions_keeps_its_name(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text("import dtls.transport\nasync def main(device):\n    device.updater.tell_me = 1\n")
    found = bundle.shortened(bundle.device_files(app), tmp_path / "short")
    assert "dtls/transport.py" in found and "transport_.py" not in found
    assert "import dtls.transport" in found["main.py"].read_text()
    assert "self.updater.state" in found["main.py"].read_text()
    for name in ("start_.py", "start_.mpy"):
        (app / name).write_text("")
        with pytest.raises(Failure, match="would hide Fargo's own start_.py"):
            bundle.shortened(bundle.device_files(app), tmp_path / "short")
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


def identifiers(tree):
    """The names that stay in memory, of attributes, functions and what a module has: not what the compiler folds."""
    folded = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(getattr(node.value, "func", None), "id", "") == "const"
    }
    found = {getattr(node, "attr", None) or getattr(node, "name", None) for node in ast.walk(tree)}
    return {name for name in found if name} - folded
