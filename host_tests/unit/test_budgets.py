"""What is past a budget fails the build, or is only said; how names are kept in memory."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import budgets  # noqa: E402
from budgets import Budget, past  # noqa: E402
from heap import pools  # noqa: E402


@pytest.fixture
def two(monkeypatch):
    monkeypatch.delenv("CHECK", raising=False)
    monkeypatch.setattr(budgets, "BUDGETS", {"hard": Budget("a", 10), "soft": Budget("b", 10, 12)})


def test_budgets_kept(two):
    assert past({"hard": 10, "soft": 0, "of no budget": 99}) == ([], False)


def test_a_budget_that_was_met_fails(two):
    assert past({"hard": 11, "soft": 10}) == (["a"], True)


def test_one_that_was_not_fails_when_checked_and_when_it_gets_worse(two, monkeypatch):
    assert past({"soft": 12}) == (["b"], False)
    assert past({"soft": 13}) == (["b"], True)
    monkeypatch.setenv("CHECK", "1")
    assert past({"soft": 11}) == (["b"], True)
    assert past({"soft": 10}) == ([], False)


def test_pools_double():
    """As `micropython.qstr_info` counts them: the 621st and the 1,261st name take a pool of 4.5 and of 9 KB."""
    assert pools(0) == 0
    assert pools(1332) == 18_000
    assert pools(621) - pools(620) > 640 * 7
    assert pools(1261) - pools(1260) > 1280 * 7
    assert pools(1260) == pools(621)
