"""`swupdate.manager`: what comes amidst a step of an update, the app that is asked for room, and a RESET."""

import asyncio

from port import reserve, sleep_ms
from test_swupdate_manager import URL, Rig


async def test_a_step_waits_for_an_app_that_is_about_to_go_on():
    """Or its code would come into memory amidst the step, which was thought to be over when the app had gone on."""
    rig = Rig()
    going = []

    async def ask(what, over=False):
        going.append("%s %s" % ("after" if over else "before", what))
        if over:
            await sleep_ms(30)
            going.append("gone on")

    rig.updater.ask = ask
    rig.updater.update(URL, "isac", "now")
    await rig.settle(lambda: going[-1:] == ["after check"])
    rig.updater.update(URL, "isvv", "now")
    await rig.settle(lambda: len(going) == 6)
    assert going == ["before check", "after check", "gone on", "before obtain", "after obtain", "gone on"]
    await rig.settle()
    assert rig.calls == ["check", "obtain"] and rig.updater.state["state"] == "sva"
    rig.off()


async def test_an_app_that_waits_for_what_it_has_cancelled_holds_nothing_up():
    """What its functions raise then is what a cancelled task raises itself."""
    for over, calls in ((True, ["check", "obtain"]), (False, ["obtain"])):
        rig = Rig()
        asked = []

        async def ask(what, now=False, asked=asked, over=over):
            asked.append(what)
            if now is over and len(asked) <= 2:
                raise asyncio.CancelledError

        rig.updater.ask = ask
        for what, last in (("isac", calls[:-1]), ("isvv", calls)):
            rig.updater.update(URL, what, "now")
            await rig.settle(lambda rig=rig, last=last: rig.calls == last and rig.updater.state["running"] == "idle")
            await rig.settle()
        assert rig.updater.state["state"] == "sva"
        rig.off()


async def test_an_app_that_cannot_be_told_to_go_on_is_told_again_after_a_while():
    """Whatever the reason: without a pause the loop would do nothing else."""
    from swupdate import manager

    kept, manager.print_exception = manager.print_exception, lambda error: None
    try:
        for why in (OSError(5), MemoryError(), ValueError("a bug"), asyncio.CancelledError()):
            rig = Rig()
            told = []

            async def ask(what, over=False, told=told, why=why):
                if over:
                    told.append(what)
                    if len(told) == 1:
                        raise why

            rig.updater.ask = ask
            rig.updater.update(URL, "isac", "now")
            await rig.settle(lambda told=told: told)
            for _ in range(100):
                await sleep_ms(0)
            assert told == ["check"]
            rig.updater.wake.set()
            await sleep_ms(100)
            assert told == ["check"]
            await rig.settle()
            assert told == ["check", "check"] and not reserve.lent
            rig.off()
    finally:
        manager.print_exception = kept


async def test_reset_ends_a_transfer():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle(lambda: rig.updater.done)
    rig.updater.dos_changed(0)
    await rig.settle()
    await sleep_ms(20)
    assert rig.calls == [] and rig.hooks == ["obtain", "go on"]
    assert rig.steps()[-1] == ("idle", 0, "idle", 0, 0) and rig.updater.state["purl"] == ""
    assert rig.updater.update(URL, "isac", "now") is None
    await rig.settle()
    assert rig.updater.state["state"] == "nsa"
    rig.off()


async def test_what_does_not_notice_that_a_reset_ends_it_changes_nothing():
    rig = Rig()
    waiting = []

    async def connect():
        waiting.append(True)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
        for _ in range(5):
            await sleep_ms(1)

    rig.connect = connect
    rig.updater.update(URL, "isac", "now")
    await rig.settle(lambda: waiting)
    rig.updater.dos_changed(0)
    del rig.connect
    assert rig.updater.update(URL, "isvv", "now") is None
    await rig.settle(lambda: rig.updater.done)
    await rig.settle(lambda: rig.calls == ["check", "obtain"])
    await rig.settle()
    assert [step[0] for step in rig.steps()] == ["idle", "svv", "svv", "sva"], "what it found is nothing to go by"
    rig.off()


async def test_what_fails_while_a_reset_ends_it_is_not_tried_again():
    """What closes a connection may find no memory itself, and then nobody hears of the cancellation."""
    for error in (MemoryError(), OSError(104)):
        rig = Rig()
        waiting = []

        async def connect(waiting=waiting, error=error):
            waiting.append(True)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise error  # noqa: B904

        rig.connect = connect
        rig.updater.update(URL, "isvv", "now")
        await rig.settle(lambda waiting=waiting: waiting)
        rig.updater.dos_changed(0)
        for _ in range(20):
            await sleep_ms(1)
        assert len(waiting) == 1
        assert not reserve.lent
        rig.off()
