"""Lets pytest run `async def test_*`, which is how the library tests are written for both interpreters."""

import asyncio
import inspect
import os
import sys
from types import ModuleType

import hypothesis
import pytest
from shared import link_once, quick_micropython

# The same examples always, however long a busy machine takes to make them: what chance finds, `make fuzz` is for.
hypothesis.settings.register_profile(
    "fargo", derandomize=True, database=None, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fargo")


@pytest.fixture(scope="session", autouse=True)
def made_once(tmp_path_factory):
    """For all processes of a session, each of which has a folder in that of the session."""
    home = tmp_path_factory.getbasetemp()
    quick_micropython(home / "bin")
    link_once((home.parent if "PYTEST_XDIST_WORKER" in os.environ else home) / "linked")


def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def nothing_stays_lent(request):
    """A test of unit/both that leaves the reserve lent, or of a size, fails itself, and not one that comes later.

    Elsewhere servers run in threads, and one stopped amidst a handshake leaves it lent: there is none on the desktop.
    """
    yield
    reserve = sys.modules["port"].reserve if "port" in sys.modules else None
    if reserve and (reserve.lent or reserve.size):
        left = reserve.lent, reserve.size
        reserve.lent = reserve.size = 0
        reserve.let_go()
        # Below 0: such a server gave back what was taken for forgotten after a test before this one.
        if "both" in request.node.path.parts and (left[0] > 0 or left[1]):
            pytest.fail("the reserve stays lent (%d), or held (%d bytes)" % left)


@pytest.fixture(autouse=True)
def no_stand_in_stays():
    """What a test has put in the place of a phase is gone afterwards: under MicroPython each file has its own process."""
    yield
    for name in [name for name, module in sys.modules.items() if not isinstance(module, ModuleType)]:
        if name.partition(".")[0] in ("swupdate", "firmware"):
            del sys.modules[name]
