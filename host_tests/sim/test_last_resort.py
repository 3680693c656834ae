"""What is left when all else has failed: a version below the floor runs, and the watchdog ends what hangs."""

import aiocoap
from fargo.flash import BLOCK, table
from sim.rig import ISVV, UPGRADE, QuickStage

from board.sim.simboard import SimBoard


async def test_a_version_below_the_floor_runs_when_the_bootloader_falls_back_to_it(make):
    """`otadata` is lost. The floor holds all the same what is older, and what is newer can be installed."""
    rig = make()
    stage = rig.stage
    stage.release("1.1.0", 3, firmware=True)
    stage.release("1.0.5", 2, change={"extra.txt": "older"})
    stage.release("1.2.0", 4, change={"extra.txt": "newer"})
    async with rig.client() as client:
        assert (await client.update(stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        await client.until(lambda v: v["swupdateresult"] == 1)
        rig.board.power_off()
        (row,) = [row for row in table(stage.layout) if row.name == "otadata"]
        with open(stage.flash, "r+b") as flash:
            flash.seek(row.offset)
            flash.write(b"\xff" * 2 * BLOCK)
        at = len(rig.board.lines)
        rig.start()
        await rig.log("starting ota_0", at)
        assert await client.version() == "1.0.0"
        swu = await client.run(stage.url("1.0.5"), ISVV)
        assert swu["swupdateresult"] == 5 and "rollback" in await client.reason()
        assert (await client.update(stage.url("1.2.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.2.0"


class Hurried(SimBoard):
    """A board whose watchdog's clock runs eight times as fast."""

    @property
    def _watchdog(self):
        return self._seconds

    @_watchdog.setter
    def _watchdog(self, seconds):
        self._seconds = seconds / 8


class HurriedStage(QuickStage):
    def board(self, **options):
        return Hurried(self.flash, address=self.address, **options)


HANGS = "import time\n\n\nasync def main(device):\n    time.sleep(100_000)\n"


async def test_a_trial_that_hangs_is_ended_by_the_watchdog_of_the_firmware(make):
    """The app does not touch the watchdog, as in test_results.py: the firmware's own has to be on."""
    rig = make(kind=HurriedStage)
    rig.stage.release("1.1.0", 2, change={"app.py": HANGS})
    async with rig.client() as client:
        assert (await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        await client.until(lambda v: v["swupdateresult"] == 8)
        assert "watchdog" in await client.reason() and await client.version() == "1.0.0"
        assert rig.board.resets[-1] == "watchdog"


async def test_a_device_whose_radio_has_no_memory_is_restarted(make):
    """On a chip the Python heap grows into what the radio needs: no packet arrives any more, and nothing says so."""
    rig = make(kind=HurriedStage, board={"spare": 1_000})
    await rig.log("warning: the radio has no memory")
    at = len(rig.board.lines)
    await rig.log("starting ota_0", at)
    assert rig.board.resets[:2] == ["power", "watchdog"]
