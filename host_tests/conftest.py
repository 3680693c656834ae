"""Lets pytest run `async def test_*`, which is how the library tests are written for both interpreters."""

import asyncio
import inspect
import sys
from types import ModuleType

import pytest


def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def no_stand_in_stays():
    """What a test has put in the place of a phase is gone afterwards: under MicroPython each file has its own process."""
    yield
    for name in [name for name, module in sys.modules.items() if not isinstance(module, ModuleType)]:
        if name.partition(".")[0] in ("swupdate", "firmware"):
            del sys.modules[name]
