"""Boards: one for a test, or one for all tests of a module that leave it as they found it.

Where the cases of others are covered ("tables": interop/test_tables_aiocoap.py):

    OMA LwM2M    751 query: tables        755 set package: no counterpart, packages are fetched      756 set URI: sequence
    (ETS ids)    760 observe: sequence    770 success: sequence        771 other transport: persistence (coap)
                 772 nothing to download: sequence (nothing newer)     773 to 776, 779: results 3, 2, 4, 5, 8
                 777, 778: tables (7 and 6)

    IoTivity-Lite's tests of /oc/swu, 39 in all:
    GetResourceBy*, GetRequest, Decode_*, Convert*, ValidateUpdate_*, PostRequest_Fail* (but in the past), PutRequest_Fail*,
    DeleteRequest_Fail*, PostRequestEmptyPackageURL, PostRequestNoUpdate: tables
    PostRequestScheduleUpdate, PostRequestUpdateNow, PostRequest_FailUpdateTimeInPast, ScheduleUpdateOnLoad: schedule
    Copy, DumpAndLoad, EncodeAndDecodeForDevice: persistence
    Upgrade, UpgradeNoNextStep: sequence, results
    ValidateUpdate_FailInvalidImplementation: no counterpart, there are no callbacks that a maker could leave out
"""

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
