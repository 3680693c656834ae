"""The simulated board that foreign Clients are let loose on."""

import pytest
from sim.rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """One board for all tests of a module, which leave it as they found it."""
    rig = Rig(tmp_path_factory.mktemp("board")).start()
    yield rig
    rig.stop()
