"""Every known-bad build is found by the check that has to find it, and the same tree without a bug is not."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from powercut.bugs import bugs, caught, check, tree

BUGS = bugs()
# A check is a process of its own that waits for its boards most of the time: two for each core keep the cores busy.
ABREAST = 2 * (os.cpu_count() or 2)


@pytest.fixture(scope="module")
def found():
    """What came of the check of each bug, by its name: all of them begin at once, ABREAST run at a time."""
    pool = ThreadPoolExecutor(ABREAST)
    yield {bug.name: pool.submit(caught, bug) for bug in BUGS}
    pool.shutdown(cancel_futures=True)


def test_there_are_enough_of_them():
    assert len(BUGS) >= 12 and len({bug.what for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_it_is_found(found, bug):
    problem = found[bug.name].result()
    assert not problem, problem


def test_what_is_no_bug_is_not_found(found):
    """The machinery itself, without a patch: it runs the code of the copy, and a check that finds a bug finds nothing."""
    modules = "coap, fargo, firmware, powercut.run, board.sim.simboard"
    with tree(None) as home:
        code, output = check(home, ("-c", f"import sys, {modules}\nfor m in ({modules}): print(m.__file__)"))
        assert code == 0 and all(line.startswith(str(home)) for line in output.split()), output
        code, output = check(home, BUGS[0].check)
        assert code == 0, output
