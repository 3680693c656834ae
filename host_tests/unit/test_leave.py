"""What a function calls a phase by is gone when the phase is left, unless somebody asks for it later."""

from __future__ import annotations

import ast

import pytest
from fargo import leave


def left(body: str) -> str:
    return ast.unparse(leave.leave(ast.parse(f"def f():\n{body}"))).partition("\n")[2]


def test_the_name_ends_with_the_phase() -> None:
    assert left(" with phase('a') as code:\n  code.run()\n other()") == (
        "    with phase('a') as code:\n        code.run()\n        code = None\n    other()"
    )


def test_one_name_of_two_phases_ends_twice() -> None:
    assert left(" with phase('a') as c:\n  c.x()\n with phase('b') as c:\n  c.y()").count("c = None") == 2


def test_all_names_of_several_modules_end() -> None:
    assert "a = b = None" in left(" with phase('a', 'b') as (a, b):\n  a.x(b)")


@pytest.mark.parametrize(
    "body",
    [
        " with phase('a') as code:\n  return code.run()",  # it ends with the function
        " with phase('a') as code:\n  pass\n return code",  # it is asked for later
        " with phase('a') as code:\n  x = lambda: code.run()\n x()",
        " with phase('a') as code:\n  def x():\n   code.run()\n x()",
        " with open('a') as file:\n  file.read()",
        " with phase('a'):\n  run()",
    ],
)
def test_else_it_stays(body: str) -> None:
    assert "= None" not in left(body)
