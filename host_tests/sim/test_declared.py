"""What short names rest on: whatever is stored on an object of Fargo's was declared by its class (tools/fargo/names.py).

Every class of the device is given a `__setattr__` that says what its own text and its bases' do not mention, and the whole
device runs so: started, owned, observed and updated, twice.
"""

import ast
import functools
import inspect

import pytest
from fargo import bundle, names
from fargo.uses import Scopes
from sim.rig import ISVV, SWU, UPGRADE

CHECK = """
def __setattr__(self, name, value):
    if type(self) is {name} and name not in {declared}:
        print("undeclared", {name!r}, name)
    object.__setattr__(self, name, value)
"""


def checked(trees, *_others):
    """As names.rename, but all keep their names, and what is stored is looked at."""
    scopes = Scopes(trees)
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                declared = tuple(sorted(scopes.of_objects((module, node.name))[0]))
                node.body += ast.parse(CHECK.format(name=node.name, declared=declared)).body


def by_string():
    """What `setattr` may be given by its name: these stay."""
    nodes = [node for path in bundle.own_files().values() for node in ast.walk(ast.parse(path.read_text()))]
    found = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found | {node.arg for node in nodes if isinstance(node, ast.keyword)}


@pytest.fixture
def looked_at(monkeypatch):
    monkeypatch.setattr(
        bundle, "_short", functools.cache(inspect.unwrap(bundle._short))
    )  # neither found nor left for others
    monkeypatch.setattr(names, "rename", checked)


async def test_whatever_is_stored_on_an_object_its_class_declares(looked_at, make):
    rig = make(board={"heap": "4m"}, layout="4MB")
    rig.stage.release("1.1.0", 2)
    rig.stage.release("1.2.0", 3)
    async with rig.client() as client:
        await client.run(rig.stage.url("1.1.0"), UPGRADE)
        assert await client.version() == "1.1.0"
        await client.run(rig.stage.url("1.2.0", "coaps"), ISVV)
        assert (await client.get(SWU))["swupdatestate"] == "sva", await client.reason()
    found = {tuple(line.split()[1:]) for line in rig.board.lines if line.startswith("undeclared")}
    kept = by_string()
    assert {name for _class, name in found} & kept, "nothing was looked at"
    assert {one for one in found if one[1] not in kept} == set()
