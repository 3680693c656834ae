"""The trial of a version, joined to the device: a phase, for as long as it takes."""

import asyncio

from port import const, create_task, phase, reserve, sleep_ms
from swupdate.faults import Fault
from swupdate.trial import Trial

import firmware.asking  # noqa: F401 - asked twice a second
from firmware.resolver import Resolver

_HEALTH_MS = const(500)
_CONNECT_S = const(5)


async def run(node):
    """Keep the running version of `node` (firmware.node), or go back."""
    node.log("info", "version %s is on trial" % node.version)
    well = False

    async def ask_health():
        nonlocal well
        while True:
            app = node.app
            try:
                well = app.started and not app.crashed and await app.ask("health", True)
            except MemoryError:  # not known; it is asked again
                well = False
            await sleep_ms(_HEALTH_MS)

    url = node.updater.state["purl"] or node.settings["url"]

    async def prove():
        """Verify an envelope the way that the next update will come."""
        job = node.job(url)
        with reserve:
            try:
                await node.ask("check")
                await job.connect()
                with phase("swupdate.install.obtain") as install:
                    await install.prove(job)
            finally:
                job.close()
                await node.ask("check", True)

    health = create_task(ask_health())
    trial = node.trial = Trial(
        node.updater, node.slots, node.store, node.reboot, lambda: node.board.joined,
        lambda: node.dtls is not None, lambda: well and not health.done(), prove if url else None,
        node.settings.get("trial_s", 300), lambda: listens(url, node.board.dns()),
    )  # fmt: skip
    node.ocf.seen = lambda _identity: trial.client_seen()
    if node.app.crashed:  # it did so before there was a trial to hear of it
        node.app_crashed(node.app.crashed)
    kept = await trial.run()
    node.trial = node.ocf.seen = None
    health.cancel()
    node.log("info", "version %s is kept" % node.version if kept else "going back")


async def listens(url, name_server):
    """Whether somebody takes connections where `url` leads. Not known of datagrams: False."""
    try:
        with phase("swupdate.url") as urls:
            _scheme, host, port, _rest = urls.parse(url, ("https",))
        host = await Resolver(name_server).resolve(host)
        _reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_S)
        try:
            writer.write(b"\x16")  # only then a refusal shows
            await writer.drain()
        finally:
            writer.close()
        return True
    except (Fault, OSError, asyncio.TimeoutError):  # noqa: UP041 - another class on MicroPython
        return False
