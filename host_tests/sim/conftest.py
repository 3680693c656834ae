"""Boards: one for a test, or one for all tests of a module that leave it as they found it."""

import pytest
from sim.rig import Rig


@pytest.fixture
def make(tmp_path_factory):
    """Makes rigs (`make(**options of Rig)`, powered on unless `start=False`) and switches them off at the end."""
    made = []

    def build(start=True, **options):
        rig = Rig(tmp_path_factory.mktemp("board"), **options)
        made.append(rig)
        return rig.start() if start else rig

    yield build
    for rig in made:
        rig.stop()


@pytest.fixture
def fresh(make):
    """A board of this test's own, running 1.0.0."""
    return make()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The module's board; tests leave it idle."""
    rig = Rig(tmp_path_factory.mktemp("board")).start()
    yield rig
    rig.stop()
