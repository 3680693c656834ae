"""The profile of an update (`make profile`): what it puts into the device's sources, and what it reads of callgrind's."""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import profile_update as profile

SOURCE = '''"""A module."""

import time


class Some:
    @property
    def value(self):
        return 1

    async def wait(self, ms=1):
        def inner():
            yield ms
        await time.sleep(ms)


def plain(a, b):
    return a + b
'''

OUTPUT = """events: Ir
fn=(1) 0x0000000004dfd008
5 100
+1 20
cfn=(2) gc_collect
calls=3 0
* 999
* 7
fn=(2)
9 50
fn=(3) PyEval
1 1000
cfn=(1)
calls=2 0
* 127
fn=(4) 0x0000000004dfd008'2
* 3
"""


def test_each_function_gets_a_way():
    text = profile.instrumented(SOURCE, "some.module")
    ast.parse(text)
    ways = [line.strip() for line in text.split("\n") if line.strip().startswith("@_trampoline")]
    assert ways == [
        '@_trampoline("some.module.Some.value", "def", "self")',
        '@_trampoline("some.module.Some.wait", "async", "*a, **k")',
        '@_trampoline("some.module.Some.wait.inner", "yield", "")',
        '@_trampoline("some.module.plain", "def", "a, b")',
    ]
    lines = text.split("\n")
    assert lines.index("from trampolines import way as _trampoline") < lines.index("import time")
    assert "    @property\n    @_trampoline" in text


def test_what_callgrind_counted(tmp_path):
    path = tmp_path / "out.1"
    path.write_text(OUTPUT)
    counts = profile.Counts()
    counts.read(path, {"4dfd": "some.module.plain"})
    assert counts.own["some.module.plain"] == 130  # what is called is not its own
    assert counts.own[profile.OWN["gc_collect"]] == 50 and counts.own[""] == 1000
    assert counts.calls["some.module.plain"] == 2 and counts.calls[profile.OWN["gc_collect"]] == 3


def test_each_start_has_addresses_of_its_own():
    lines = ["way profile 0x1000", "way a 0x2000", "info: serving", "way profile 0x2000", "way b 0x1000"]
    assert profile.ways(lines, 0) == {"1": "profile", "2": "a"}
    assert profile.ways(lines, 1) == {"2": "profile", "1": "b"}
