"""Device modules joined into one: what they do stays, whatever names they share. And what becomes one on the device."""

import ast
import importlib
import os
import re
import subprocess
import sys

import modules
import pytest
from fargo import bundle, groups, link, slim
from fargo.bundle import ROOT
from fargo.console import Failure

PORT = "def const(value):\n    return value\n\n\nclass phase:\n    pass\n"


def linked(known=(), apart=(), also=None, **sources):
    """The text of what `sources` become, "main" the entry; `main_` has to define `found`."""
    trees = {name: ast.parse(text) for name, text in {"port": PORT, **sources}.items()}
    found = groups.groups(trees, "main", apart)
    return {
        name: ast.unparse(slim.slim(tree))
        for name, tree in link.link(trees, found, "main", known, apart, also).items()
    }


def modules_in(text):
    """The modules of a text that has "# name" before each."""
    parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def ran(folder, sources):
    """`found` of `main`, imported by CPython."""
    folder.mkdir()
    for name, text in sources.items():
        (folder / f"{name}.py").write_text("def const(value):\n    return value\n" + text)  # else the compiler's alone
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module("main").found
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            del sys.modules[name]


SAME = {
    "same names": """
# one
count = [1]
def read():
    return count
class Thing:
    count = 3
    def read(self):
        return self.count, count
# two
count = [2]
def read():
    count = 7
    return count
class Thing:
    def read(self):
        return count
# main
import one
import two as second
from one import Thing, read
from two import Thing as Other
found = one.count, second.count, read(), second.read(), Thing().read(), Other().read(), one.Thing.count
""",
    "locals that hide": """
# one
limit = [5]
def size(limit=limit):
    return limit
def whole():
    return limit
# main
import one
from one import whole
def inside(limit):
    whole = 1
    size = [limit for limit in range(2)]
    return one.limit, one.size(2), one.whole(), size, limit, whole
def deeper():
    limit = 3
    def innermost():
        nonlocal limit
        limit += len(one.limit)
        return limit, one.size()
    return innermost()
by_lambda = lambda limit, size=one.size: (limit, size(), whole())
found = inside(4), deeper(), by_lambda(6), [limit for limit in one.limit], {size: 1 for size in "ab"}
""",
    "global statements": """
# one
state = []
count = 0
def more():
    global count, made
    count += 1
    made = count * 2
    return count
def seen():
    return count, made
# two
count = 100
def more():
    global count
    count = count + 1
    return count
# main
import one, two
found = one.more(), two.more(), one.more(), two.more(), one.seen(), one.count, two.count
""",
    "classes": """
# one
class Base:
    level = 1
    def name(self):
        return "one"
    @property
    def wide(self):
        return self.level
    @wide.setter
    def wide(self, value):
        self.level = value
def name():
    return "function"
def twice(function):
    return lambda *a: function(*a) * 2
# two
from one import Base as Parent, name, twice
class Base(Parent):
    def name(self):
        return super().name(), name()
    called = [each() for each in (list, dict)] + [twice("x".upper)()]
    @twice
    def doubled(self):
        return "x"
# main
import two
from two import Base
thing = Base()
thing.wide = 8
found = thing.name(), thing.wide, Base.called, thing.doubled(), two.name(), isinstance(thing, two.Parent)
""",
    "errors, texts and walrus": """
# one
class Trouble(ValueError):
    pass
error = ["first"]
def fail(text):
    raise Trouble(text)
# main
from one import Trouble, fail
import one
error = 5
def work(value):
    try:
        fail(value)
    except Trouble as error:
        return f"{error} {one.error[0]!r} {type(error).__name__}"
def look(items):
    return [last := item for item in items], last
found = work("no"), error, look([1, 2]), max(one.error, key=lambda error: error)
""",
    "order": """
# one
log = []
log.append("one")
# two
from one import log
import three
log.append("two")
# three
import one
one.log.append("three")
# main
import two
from one import log
log.append("main")
found = log
""",
    "constants": """
# one
from port import const
_A = const(3)
B = const(_A << 4)
_C = const((1, 2))
BIG = const(1 << 40)
TEXT = "some text"
N = -1
def f():
    return _A, B, _C, BIG, N ** 2
# two
from port import const
from one import B, N
_A = const(4)
_C = const((3, 4))
def f():
    return _A, B, _C, N.bit_length(), -N
# main
import one, two
found = one.f(), two.f(), one.B, one.TEXT, one.BIG, one.B.to_bytes(2, "big")
""",
    "from one to the next": """
# one
from two import inner as shown, other
from three import *
# two
import struct
inner = struct.calcsize
def other(value):
    return value
# three
_hidden = 1
def open_one(*values, **named):
    return values, named, _hidden
# main
from one import shown, other, open_one
import one
found = shown("I"), other(5), open_one(1, inner=2), one.shown is shown
""",
    "short names that are taken": """
# one
class Thing:
    def __init__(self):
        self._0 = self.a1 = self._1 = 1
def first(_0, a1):
    return second(_0), [third(_1) for _1 in (a1,)]
def second(_1):
    return _1, third(2), Thing()._0
def third(a1):
    return a1
# main
from one import first
import one
def inside():
    _0 = a1 = _1 = _2 = 5
    return one.third(_0), first(a1, _1)
found = inside()
""",
    "builtins": """
# one
def open(name):
    return "ours " + name
max = [3]
# main
import one
found = one.open("door"), max(one.max), sum(map(len, ["ab"])), callable(open)
""",
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_joined_does_the_same(tmp_path, case):
    sources = modules_in(SAME[case])
    new = linked(**sources)
    assert set(new) == {"main"}
    assert ran(tmp_path / "new", new) == ran(tmp_path / "old", {"port": PORT, **sources})


DEAD = """
# one
from port import const
_MOST = const(7)
LEAST = 2
WORDS = "a text"
def used():
    return _MOST
def unused():
    return used()
class Nobody:
    pass
print("it does something")
_table = {1: LEAST}
kept = print()
# main
import one
from one import LEAST, unused
def found():
    return LEAST + one.used(), one.WORDS
"""


def test_numbers_stand_where_they_are_used_and_what_nobody_mentions_is_gone():
    new = linked(**modules_in(DEAD))["main"]
    assert "return (2 + " in new and "return 7" in new and "'a text'" in new and new.count("print(") == 2
    for name in ("MOST", "LEAST", "unused", "Nobody", "table", "const", "import"):
        assert name not in new, name


@pytest.mark.parametrize(
    ("said", "sources"),
    [
        ("circle: one -> two -> one", {"one": "import two\n", "two": "import one\n", "main": "import one\n"}),
        ("imports everything from struct", {"main": "from struct import *\n"}),
        ("depends on something", {"one": "", "main": "try:\n    import one\nexcept ImportError:\n    pass\n"}),
        ("uses the module one as a value", {"one": "", "main": "import one\nprint(one)\n"}),
        ("changes limit of one", {"one": "limit = 1\n", "main": "import one\none.limit = 2\n"}),
        ("its own __name__", {"main": "print(__name__)\n"}),
        ("one has no limit", {"one": "least = 1\n", "main": "from one import limit\nprint(limit)\n"}),
        ("gives it another meaning", {"one": "limit = 1\n", "main": "from one import limit\nlimit = 2\n"}),
        ("imports two things as limit", {"main": "from os import sep as limit\nfrom os import path as limit\n"}),
        ("reads limit, which may be", {"main": "limit = 1\nclass A:\n    limit = limit\n"}),
        ("imported in a function", {"main": "def f():\n    global os\n    import os\n"}),
        ("an import after other", {"one": "", "main": "print()\nimport one\n"}),
        ("late of a phase has no more", {"late": "less = 1\n", "main": "with phase('late') as x:\n    x.more()\n"}),
    ],
)  # fmt: skip
def test_what_cannot_be_linked_is_refused(said, sources):
    with pytest.raises(Failure, match=said):
        linked(**sources)


def test_what_is_imported_for_nothing_is_imported():
    """It may not be there, which a trial of that version shows."""
    new = linked(
        one="import no_such_module\nimport struct\ndef f():\n    return 1\n", main="import one\nprint(one.f())\n"
    )
    assert "no_such_module" in new["main"]


HIDDEN = """
# one
def item():
    return 1
def open():
    return 2
# two
import one
def f(item):
    return one.item(), item
def g():
    return one.open(), open
# main
import two
two.f(1)
two.g()
"""


def test_a_name_that_must_stay_is_never_hidden():
    assert linked(**modules_in(HIDDEN))
    for name in ("item", "open"):
        with pytest.raises(Failure, match=f"{name} of main is known outside, and means something else in two"):
            linked(also={"one": (name,)}, **modules_in(HIDDEN))


OPAQUE = """
# one
limit = [1]
# late
import one
from one import limit as most
def go(name):
    return globals()[name](), most
def _step():
    return one.limit
# main
from one import limit
def phase(name):
    return __import__(name)
found = phase("late").go("_step"), limit
"""


def test_modules_that_look_names_up_keep_theirs(tmp_path):
    new = linked(**modules_in(OPAQUE))
    assert set(new) == {"main", "late"} and "def _step" in new["late"]
    assert ran(tmp_path / "new", new) == ran(tmp_path / "old", modules_in(OPAQUE)) == (([1], [1]), [1])


PHASES = """
# main
from port import phase
import always
def f():
    with phase("a") as one, phase("b", "c") as two:
        one.go()
    from d import go
# always
def always():
    pass
# a
import only_a, shared, pair
def go():
    return only_a.x() + shared.x()
# b
import shared, pair, d
# c
from always import always
# d
import only_d
def go():
    return only_d.x()
# only_a
import deeper_a
def x():
    return deeper_a.x()
# deeper_a
def x():
    return 1
# only_d
def x():
    return 1
# shared
import pair
def x():
    return pair.x()
# pair
def x():
    return 1
# nobody
"""


def test_what_phases_bring_together_is_one_and_nothing_comes_too_soon():
    trees = {name: ast.parse(text) for name, text in {"port": PORT, **modules_in(PHASES)}.items()}
    assert groups.groups(trees, "main") == {
        "main": ["always", "port", "main"],
        "a": ["deeper_a", "only_a", "a"],
        "b": ["b"],
        "c": ["c"],
        "d": ["only_d", "d"],
        "shared": ["pair", "shared"],
    }
    assert groups.groups(trees, "main", ["always", "pair"])["always"] == ["always"]
    assert groups.groups(trees, "main", ["pair"])["pair"] == ["pair"]
    alone = groups.groups(trees, "main", (), ["deeper_a", "always"])
    assert (alone["deeper_a"], alone["a"], alone["always"]) == (["deeper_a"], ["only_a", "a"], ["always"])
    new = linked(**modules_in(PHASES))
    assert "import shared" in new["a"] and "import" not in new["d"]


APART = """
# one
from two import *
import time
_x = 1
# two
def shown():
    return 5
def hidden():
    return 6
# main
import one
found = one.shown()
# app
import main
from one import shown, time
found = shown(), time.time() > 0, main.found
"""


def test_a_module_for_apps_hands_on_what_they_ask_for(tmp_path):
    sources = modules_in(APART)
    app = sources.pop("app")
    new = linked(known={"shown", "time", "found"}, apart=["one"], **sources)
    assert set(new) == {"main", "one"} and "hidden" not in new["main"]
    for name, text in {**new, "app": app}.items():
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-c", "import app; print(app.found)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(5, True, 5)\n", done.stderr


# The device


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """(what each module of an image was made of, the folder of its sources)."""
    files = bundle.device_files(ROOT / "examples/lamp")
    folder = tmp_path_factory.mktemp("linked")
    bundle.shortened(files, folder)
    return bundle.joined(files), folder


def test_no_phase_loads_more_than_its_sources_say(device):
    joined, folder = device
    trees = {}
    for path in folder.rglob("*.py"):
        trees[str(path.relative_to(folder)).removesuffix(".py").replace("/", ".")] = ast.parse(path.read_text())
    edges = {name: groups.imports(tree, trees) for name, tree in trees.items()}
    of = {module: name for name, some in joined.items() for module in some}

    def loaded(root):
        return {module for name in groups.closure([of[root]], edges) for module in joined[name]}

    resident = {"main" if name == "firmware.main" else name for name in modules.resident()}
    bare = {name for name in resident if name not in of}
    assert set(joined["main"]) == resident - bare and bare <= {"coap", "dtls", "firmware", "swupdate"}
    assert len(resident) > 25
    for root in set(modules.roots()) - {"app"}:  # the maker's is linked with nothing
        assert loaded(root) - resident <= modules.closure([root]) - resident, root
        assert of[root] == root or joined[of[root]][-1] == root  # found by its own name, whatever is in it
    assert sum(map(len, joined.values())) == len(of)  # none is in memory twice


def test_apps_find_what_is_resident_by_its_old_names(device, tmp_path):
    """On MicroPython, with stand-ins for the chip's modules that nothing is asked of."""
    for name in ("esp32", "machine", "network"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "app.py").write_text(
        "import sys\nimport main\nfrom ocf import Property, Resource\nimport ocf.resource\nimport ocf.resource as r\n"
        "assert ocf.resource.Refused is r.Refused and r.Resource is Resource and 'ocf.update' not in sys.modules\n"
        "with main.phase('ocf.update') as code:\n    assert 'ocf.update' in sys.modules\n"
        "assert 'ocf.update' not in sys.modules and not hasattr(ocf, 'update')\n"
        "import ocf.update\nprint(len([n for n in sys.modules if n[0] == '_' and len(n) < 4]))\n"
    )
    _joined, folder = device

    def run(*folders):
        environment = {**os.environ, "MICROPYPATH": ":".join(map(str, [tmp_path, *folders, ".frozen"]))}
        command = ["micropython", "-X", "heapsize=4m", tmp_path / "app.py"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    done = run(folder)
    assert done.stdout == "1\n", done.stderr + done.stdout  # with ocf.uuids
    # In an image of its own as well: what it says of `main` is no wish to have that apart.
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text((tmp_path / "app.py").read_text())
    files = bundle.device_files(app)
    bundle.shortened(files, tmp_path / "short")
    assert {"ocf", "ocf.resource"} <= set(bundle.joined(files)["main"])
    done = run(tmp_path / "short")
    assert done.stdout == "1\n", done.stderr + done.stdout
