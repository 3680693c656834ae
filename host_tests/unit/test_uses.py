"""What may share a short name and what may not: programs that would end otherwise if it were decided more simply."""

import ast
import sys
import types

import pytest
from fargo import names, texts


def results(trees):
    """What the module `main` calls `found`, the others imported as it does. Their own `phase` gives a module."""
    known = {module: types.ModuleType(module) for module in trees}
    before = {module: sys.modules.get(module) for module in known}
    sys.modules.update(known)
    try:
        for module, tree in trees.items():  # each after what it imports
            exec(compile(ast.unparse(tree), module, "exec"), known[module].__dict__)
        return known["main"].found
    finally:
        for module, old in before.items():
            sys.modules.pop(module) if old is None else sys.modules.update({module: old})


def shortened(sources):
    trees = {module: ast.parse(text) for module, text in sources.items()}
    names.rename(trees, (), {"found"})
    texts.apart(trees, {"nothing"}, {"found"})
    return trees


PROGRAMS = {
    "an object has what its class and its bases have": {
        "base": "class Base:\n    def start_it(self):\n        self.first_of = 1\n",
        "child": """
from base import Base
class Child(Base):
    def go_on(self):
        self.start_it()
        self.second_of = 2
        return self.first_of, self.second_of
""",
        "main": "from child import Child\nfound = Child().go_on()\n",
    },
    "a base that is reached by its module, and renamed by an import": {
        "base": "class Base:\n    in_base = 1\n",
        "middle": "from base import Base as Other\n",
        "main": """
import middle
class Child(middle.Other):
    in_child = 2
class Last(Child):
    in_last = 3
found = Last.in_base, Last.in_child, Last.in_last
""",
    },
    "others store on it what its class declares": {
        "one": "class One:\n    declared: int\n    def __init__(self):\n        self.of_one = 1\n",
        "main": """
from one import One
thing = One()
thing.declared = 2
found = thing.declared, thing.of_one
""",
    },
    "others store on it what no class declares": {
        "one": "class One:\n    def __init__(self):\n        self.of_one = 1\n",
        "two": "class Two:\n    def __init__(self):\n        self.of_two = 1\n",
        "main": """
from one import One
from two import Two
def mark(thing):
    thing.by_others = 2
    return thing
found = mark(One()).of_one, mark(Two()).of_two, mark(One()).by_others
""",
    },
    "a base that is not known": {
        "base": "class Base:\n    first_of = 1\ndef choose():\n    return Base\n",
        "main": """
from base import choose
class Child(choose()):
    second_of = 2
    third_of = 3
found = Child.first_of, Child.second_of, Child.third_of
""",
    },
    "who is no method's self is another object": {
        "main": """
class One:
    def __init__(self):
        self.of_one = 1
        self.more_of = self.most_of = 4
class Two:
    def __init__(self, one):
        self.of_two = 2
        def inner(self):
            self.put_there = 3
        inner(one)
one = One()
two = Two(one)
found = one.of_one, one.put_there, two.of_two, one.more_of, one.most_of
""",
    },
    "a module that is a value": {
        "one": "def run_it():\n    return 1\ndef other_one():\n    return 2\n",
        "two": "class Two:\n    def run_it(self):\n        return 3\n    def another(self):\n        return 4\n",
        "main": """
import one
from two import Two
found = [thing.run_it() for thing in (one, Two())] + [one.other_one(), Two().another()]
""",
    },
    "a module's global that is given a value from outside": {
        "one": "current_one = 1\ndef tell_it():\n    return current_one\n",
        "main": """
import one
one.current_one = 5
one.added_one = 6
found = one.tell_it(), one.current_one, one.added_one
""",
    },
    "a class body that reads a global": {
        "main": """
first_value, second_value = 1, 2
class One:
    one_of = first_value
    two_of = second_value
    first_value = first_value
    def ask(self, more=second_value):
        return self.one_of, self.two_of, self.first_value, more
found = One().ask(), first_value
""",
    },
    "a class body that reads what it does not bind": {
        "main": """
first_global = [1]
class One:
    first_of = 7
    second_of = first_global
found = One.first_of, One.second_of, first_global, first_global, first_global
""",
    },
    "what a function and a module call alike": {
        "main": """
shared_name = 1
def nested():
    shared_name = 20
    def inner_two():
        global shared_name
        shared_name += 1
    inner_two()
    return shared_name
def with_short(_0, _1=2):
    _2 = nested()
    return _0 + _1 + _2 + shared_name
def one(shared_name):
    other_name = shared_name
    def inner_one():
        nonlocal other_name
        other_name += 1
        return other_name
    return inner_one() + other_name
def two():
    global shared_name
    shared_name += 1
    return [shared_name for shared_name in (5, 6)], shared_name
found = one(4), two(), nested(), with_short(3), shared_name
""",
    },
    "names in strings": {
        "one": "class One:\n    def __init__(self):\n        self.by_string = self.by_itself = 7\n",
        "main": """
from one import One
thing = One()
setattr(thing, "by_setting", 1)
found = getattr(thing, "by_string"), hasattr(thing, "by_itself"), thing.by_setting
""",
    },
    "a number that is imported, and one that changes": {
        "one": "LIMIT = 5\nCHANGED = 6\ndef change():\n    global CHANGED\n    CHANGED = 7\n    return -LIMIT ** 2\n",
        "two": "from one import LIMIT as MOST\nSIGNED = -3\n",
        "main": """
import one
from one import CHANGED
from two import MOST, SIGNED
def inside():
    from one import LIMIT
    return LIMIT
found = one.change(), one.CHANGED, CHANGED, MOST, inside(), SIGNED ** 2, one.LIMIT
""",
    },
    "short texts": {
        "one": """
NAMES = ("aa", ("bb", 1))
TABLE = {"cc": 1, "dd": 2}
def look(name="cc"):
    \"\"\"Words.\"\"\"
    return f"{TABLE[name]}ee" + "ff" % () + "".join(NAMES[:1])
""",
        "main": "from one import look\nfound = look(), look('dd'), 'aa'\n",
    },
}


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_program_means_the_same(title):
    sources = PROGRAMS[title]
    assert results(shortened(sources)) == results({module: ast.parse(text) for module, text in sources.items()})


def test_what_cannot_meet_shares_its_name():
    trees = shortened(
        {
            "one": "class One:\n    level_one = 1\n    def begin_it(self):\n        return self.level_one\n",
            "two": "class Two:\n    level_two = 2\n    def begin_too(self):\n        return self.level_two\n",
            "three": "import one\nimport two\ndef third(thing):\n    return one.One, two.Two, thing.level_two\n",
        }
    )
    found = {node.attr for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert found == {"_0"}  # both classes, as globals of modules, and both levels, as attributes of these
    assert (
        len({node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}) == 1
    )


def test_texts_of_phases_are_objects_and_those_of_the_rest_names():
    trees = {
        "main": ast.parse("import near\na = 'resident'\n"),
        "near": ast.parse("a = 'both'\n"),
        "far": ast.parse(
            "import near\nfrom port import phase\nb = {'away': 'both', near.a: 'away'}\nphase('other')\n"
        ),
        "other": ast.parse("def named():\n    return 'named', len('other'), 'longer than that', f'{named}away'\n"),
    }
    texts.apart(trees, {"main"})
    text = {module: ast.unparse(tree) for module, tree in trees.items()}
    assert text["main"] == "import near\na = 'resident'" and text["near"] == "a = 'both'"
    assert text["far"].splitlines()[0] == "_0 = ('away',)" and "{_0[0]: 'both', near.a: _0[0]}" in text["far"]
    assert "phase('other')" in text["far"]
    assert "_0" not in text["other"]  # names, too long, and what the compiler makes of a format


def test_a_text_of_one_letter_stays_where_it_is():
    """As a name it is smaller than an object, and reading a text letter by letter makes names anyway."""
    trees = {"main": ast.parse("x = 1"), "late": ast.parse("def f(a):\n    return a in ':' or a == 'between'\n")}
    texts.apart(trees, {"main"})
    assert ast.unparse(trees["late"]) == "_0 = ('between',)\n\ndef f(a):\n    return a in ':' or a == _0[0]"
