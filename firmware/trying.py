"""The trial of a version, joined to the device: a phase, for as long as it takes."""

import asyncio

from port import const, phase, reserve, sleep_ms
from swupdate.trial import Trial

_HEALTH_MS = const(500)


async def run(node):
    """Keep the running version of `node` (firmware.node), or go back."""
    node.log("info", "version %s is on trial" % node.version)
    well = False

    async def ask_health():
        nonlocal well
        while True:
            well = await node.app.health()
            await sleep_ms(_HEALTH_MS)

    async def prove():
        """Verify an envelope the way that the next update will come."""
        job = node.job(node.updater.state["purl"] or node.provision.url)
        with reserve, phase("swupdate.install.obtain") as install:
            await install.prove(job)

    health = asyncio.create_task(ask_health())
    trial = node.trial = Trial(
        node.updater, node.slots, node.store, node.reboot, lambda: node.board.joined,
        lambda: node.dtls is not None, lambda: well, prove, node.provision.settings.get("trial_s", 300),
    )  # fmt: skip
    node.ocf.seen = lambda _identity: trial.client_seen()
    if node.app.crashed:  # it did so before there was a trial to hear of it
        node.app_crashed("the app stopped: " + node.app.crashed)
    kept = await trial.run()
    node.trial = node.ocf.seen = None
    health.cancel()
    node.log("info", "version %s is kept" % node.version if kept else "going back")
