"""Short names for device code: the same behaviour, and as few names as there can be."""

import ast
import re

import pytest
from fargo import bundle, names
from fargo.bundle import ROOT

LAMP = ROOT / "examples/lamp"


def ran(text, **known):
    """The globals of a module that was run."""
    found = dict(known)
    exec(text, found)
    return found


def short(**sources):
    return names.shorten(sources)


def test_private_names_are_short_and_shared_between_modules():
    found = short(
        one="class One:\n    def __init__(self):\n        self._count = 1\n",
        two="class Two:\n    def __init__(self):\n        self._other = self._more = 2\n",
    )
    assert set(re.findall(r"_\w+", found["one"])) == {"__init__", "_0"}
    assert set(re.findall(r"_\w+", found["two"])) == {"__init__", "_0", "_1"}


def test_a_class_and_what_it_inherits_from_share_no_name():
    found = short(
        base="class Base:\n    def _a_step(self):\n        return 1\n    def go(self):\n        return self._a_step()\n",
        child="from base import Base\nclass Child(Base):\n    def _another(self):\n        return 2\n",
        grandchild="from child import Child\nclass Last(Child):\n    def __init__(self):\n        self._third = 3\n",
    )
    new = [set(re.findall(r"\b_[a-z0-9]\b", found[module])) for module in ("base", "child", "grandchild")]
    assert all(len(one) == 1 for one in new) and len(set.union(*new)) == 3


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
    kept = names.shorten({"one": text, "port._micropython": "sleep = 1"})["one"]
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
    found = short(one=text)["one"]
    assert ran(found)["found"] == ran(text)["found"]
    assert "label='x'" in found and "amount" not in found and "fourth" not in found
    assert names.shorten({"one": text}, ["one"])["one"].count("amount") == 2


def test_errors_that_are_caught_keep_their_name_apart():
    text = """
def work(error, value):
    try:
        return 1 // value
    except ZeroDivisionError as problem:
        return error, str(problem)
found = work("bad", 0)
"""
    assert ran(short(one=text)["one"])["found"] == ran(text)["found"]


def test_the_device_has_few_private_names(tmp_path):
    files = bundle.device_files(LAMP)
    found = bundle.shortened(files, tmp_path)
    assert found["app.py"] == files["app.py"]  # the maker's, whose names are his
    before, after = set(), set()
    for name in found:
        if name != "app.py":
            before |= private(files[name].read_text())
            after |= private(found[name].read_text())
    assert len(before) > 300 and len(after) < 60
    again = bundle.shortened(files, tmp_path / "again")
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: path.read_bytes() for name, path in again.items()
    }


def private(text):
    """The private names that stay in memory: not what the compiler folds."""
    tree = ast.parse(text)
    folded = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(getattr(node.value, "func", None), "id", "") == "const"
    }
    found = {getattr(node, "attr", None) or getattr(node, "id", None) for node in ast.walk(tree)}
    return {name for name in found if name and re.match(r"_[a-zA-Z0-9]", name)} - folded
