"""Fargo in the firmware or in the app's image: which code runs (board/README.md).

What is frozen is stood in for by a partition of its own that the firmware puts last on `sys.path`, behind MicroPython's
own frozen modules: boot.py and all that follows cannot tell. Updates of such a board are in powercut/test_powercut.py.
"""

from fargo import bundle, romfs
from powercut.geometry import FrozenStage, frozen_layout
from sim.rig import UPGRADE, QuickStage

# As the geometry "frozen", with room for all of Fargo in an app image.
ROOMY = frozen_layout(0x30000)


class Hidden(FrozenStage):
    """The release after the factory's has an app image with all of Fargo in it."""

    def app_image(self, change=None):
        return (FrozenStage if not self.flash.exists() else QuickStage).app_image(self, change)


class Alone(QuickStage):
    """The release after the factory's has an app image without Fargo, for a firmware that has none either."""

    def app_image(self, change=None):
        if not self.flash.exists():
            return super().app_image(change)
        return romfs.build(bundle.device_files(self.app, frozen=True))


async def test_the_app_image_decides_which_code_runs(make):
    """The app alone, then an image with Fargo in it: neither hides the other in silence."""
    rig = make(kind=Hidden, layout=ROOMY, firmware_size=14_000)
    await rig.log("info: Fargo's code is in /frozen/")
    rig.stage.release("1.1.0", 2)
    at = len(rig.board.lines)
    async with rig.client() as client:
        assert (await client.run(rig.stage.url("1.1.0"), UPGRADE))["swupdateresult"] == 1
    await rig.log("info: Fargo's code is in /app/", at)


async def test_an_app_alone_on_a_firmware_without_fargo_goes_back(make):
    rig = make(kind=Alone)
    rig.stage.release("1.1.0", 2)
    async with rig.client() as client:
        assert (await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")).code.is_successful()
        await client.until(lambda v: v["swupdateresult"] == 8)
        assert await client.version() == "1.0.0"
    assert any("ImportError: no module named" in line for line in rig.board.lines)
