"""No memory for the update machine: a Client is refused, and whatever else happened is not lost."""

from check import raises
from swupdate import manager
from test_swupdate_manager import URL, Rig


class Scarce:
    """While it is entered, the machine does not fit in memory `times` times."""

    def __init__(self, times):
        self.left = times

    def __enter__(self):
        scarce, self.kept = self, manager.phase

        class Phase(self.kept):
            def __enter__(self):
                if self._names == ("swupdate.feeding",) and scarce.left:
                    scarce.left -= 1
                    raise MemoryError
                return super().__enter__()

        manager.phase = Phase
        return self

    def __exit__(self, *_exc):
        manager.phase = self.kept
        return False


async def test_a_client_is_refused_and_nothing_is_changed():
    rig = Rig()
    await rig.settle()
    state, record = rig.updater.state, rig.store.load("update")
    with Scarce(2):
        for ask in (lambda: rig.updater.update(URL, "isac", "now"), lambda: rig.updater.target(256)):
            with raises(MemoryError):
                ask()
    assert rig.updater.state is state and rig.store.load("update") == record and not rig.calls
    assert rig.updater.update(URL, "isac", "now") is None
    await rig.settle()
    assert rig.updater.state["state"] == "nsa"
    rig.off()


async def test_what_came_of_an_action_waits_for_memory():
    rig = Rig()
    rig.updater.update(URL, "isac", "now")
    with Scarce(1) as scarce:
        await rig.settle(lambda: rig.updater.state["state"] == "nsa")
        assert not scarce.left and rig.calls == ["check"]
    assert rig.steps()[-1] == ("nsa", 256, "idle", 0, 0)
    rig.off()


async def test_a_schedule_waits_for_memory():
    rig = Rig()
    when = rig.clock.now() + 5
    assert rig.updater.update(URL, "isac", when) is None
    await rig.settle()
    rig.clock.unix = when
    with Scarce(1) as scarce:
        rig.updater.wake.set()
        await rig.settle(lambda: rig.updater.state["state"] == "nsa")
        assert not scarce.left
    rig.off()


async def test_a_reset_without_memory_is_not_done_and_can_be_begun_again():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle(lambda: rig.updater.doing == "obtain")
    with Scarce(1), raises(MemoryError):
        rig.updater.dos_changed(0)
    assert rig.updater._task is None and rig.updater.doing == ""  # what ran has ended, and gives its memory back
    rig.updater.dos_changed(0)
    await rig.settle()
    assert rig.updater.state["purl"] == "" and rig.updater.state["running"] == "idle"
    assert not rig.calls
    rig.off()


async def test_a_step_whose_record_finds_no_memory_was_not_taken():
    """The Client is refused and asks again; what came of an action is recorded when there is memory."""
    rig = Rig()
    await rig.settle()
    kept, left = rig.store.save, [1]

    def save(name, data):
        if left and name == "update":
            left.pop()
            raise MemoryError
        kept(name, data)

    rig.store.save = save
    state = rig.updater.state
    with raises(MemoryError):
        rig.updater.update(URL, "isac", "now")
    assert rig.updater.state is state and not rig.calls
    assert rig.updater.update(URL, "isac", "now") is None
    left.append(1)  # for "checked"
    await rig.settle(lambda: rig.updater.state["state"] == "nsa")
    assert not left and rig.calls == ["check"] and rig.steps()[-1] == ("nsa", 256, "idle", 0, 0)
    rig.off()


async def test_an_app_that_has_all_memory_is_paused_first():
    rig = Rig()
    scarce, kept = [], manager.phase

    def want():
        if not rig.hooks:
            scarce.append(1)
            raise MemoryError

    class Phase(kept):
        def __enter__(self):
            if self._names == ("swupdate.work",):
                want()
            return super().__enter__()

    def made(size):
        want()
        return bytes(size)

    manager.phase, manager.bytearray = Phase, made
    try:
        rig.updater.update(URL, "isvv", "now")
        await rig.settle(lambda: rig.updater.state["state"] == "sva")
    finally:
        manager.phase = kept
        del manager.bytearray
    assert not scarce and rig.hooks == ["pause", "resume"] and rig.calls == ["obtain"]
    rig.off()


async def test_the_reserve_is_lent_to_an_action_and_taken_again():
    """What fails for lack of memory begins to, with the reserve in hand."""
    from port import reserve

    rig = Rig()
    await rig.settle()
    reserve.size, reserve._lent = 2048, 0  # whatever tests before this one have left
    held = []

    async def ask(what):
        if what == "pause":
            reserve.take()
            held.append((reserve.good(), len(reserve._held)))

    rig.updater.ask = ask
    try:
        reserve.take()
        assert reserve.good() and len(reserve._held) == 2048
        rig.updater.update(URL, "isvv", "now")
        await rig.settle(lambda: rig.updater.state["state"] == "sva")
        assert held == [(True, 0)]  # lent
        assert len(reserve._held) == 2048
        assert reserve.let_go() and not reserve.good() and not reserve.let_go()
    finally:
        reserve.size = 0
    rig.off()
