"""The short form of `make powercut`: after every operation of the main scenario, and a sample of the rest."""

import pytest
from powercut.run import Plan, run
from powercut.scenarios import SCENARIOS

SEED = 4
TORN = 24


def clean(plan):
    tally = run(plan, SEED)
    print(tally)
    assert not tally.problems, "\n".join(tally.problems)
    assert tally.cuts + tally.torn and tally.looked >= 3 * min(tally.operations, 30)
    return tally


def test_every_operation_of_an_update():
    """Firmware and app, on 32 sectors: after each operation; in some, in the middle of it or with bits left."""
    tally = clean(Plan("update", "frozen", torn=TORN))
    assert tally.cuts + tally.torn + tally.same == tally.operations + 1 + TORN > 60 + TORN
    assert tally.ended + tally.repeated == tally.cuts + tally.torn and tally.ended > 3 * tally.repeated


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "update"])
def test_a_sample_of(scenario):
    clean(Plan(scenario, "frozen", limit=6))


@pytest.mark.parametrize(("geometry", "limit"), [("small", 8), ("odd", 8), ("4MB", 2)])
def test_other_geometries(geometry, limit):
    clean(Plan("second" if geometry != "4MB" else "update", geometry, limit=limit))


def test_a_second_cut_in_the_recovery():
    assert clean(Plan("update", "frozen", limit=8, second=2)).second >= 8
