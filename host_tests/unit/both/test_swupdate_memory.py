"""No memory for the update machine: a Client is refused, and whatever else happened is not lost."""

import sys

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
    from swupdate import action

    rig = Rig()
    scarce, kept = [], action.phase

    def want():
        if not rig.hooks:
            scarce.append(1)
            raise MemoryError

    class Phase(kept):
        def __enter__(self):
            if self._names == ("swupdate.work",):
                want()
            return super().__enter__()

    def made(size):  # is tried before, in case there is enough
        return bytearray(size if rig.hooks else 0)

    kept_piece = action.piece
    action.phase, action.piece = Phase, made
    sys.modules["swupdate.action"] = action
    try:
        rig.updater.update(URL, "isvv", "now")
        await rig.settle(lambda: rig.updater.state["state"] == "sva")
        await rig.settle()
    finally:
        action.phase, action.piece = kept, kept_piece
        sys.modules.pop("swupdate.action", None)
    assert not scarce and rig.hooks == ["obtain", "go on"] and rig.calls == ["obtain"]
    rig.off()


async def test_an_action_has_the_reserve_for_its_buffers():
    """The very pieces: what is given back to a heap is soon full of what stays, and an update needs one of 4 KB."""
    from port import reserve

    rig = Rig()
    await rig.settle()
    reserve.size, reserve.spare, reserve.lent = 4096, 1792, 0  # whatever tests before this one have left
    asked = []

    async def ask(what, over=False):
        if not over:
            reserve.take()
            asked.append((what, reserve.good(), len(reserve._held)))

    rig.updater.ask = ask
    try:
        reserve.take()
        pieces = reserve._held, reserve._second
        assert [len(piece) for piece in pieces] == [4096, 1792]
        for action, state in (("isac", "nsa"), ("isvv", "sva")):
            rig.updater.update(URL, action, "now")
            await rig.settle(lambda state=state: rig.updater.state["state"] == state and not rig.updater._task)
            assert asked.pop(0)[1:] == (True, 0)  # lent
            assert rig.buffers[0] is pieces[0] and rig.buffers[1] is pieces[1]
            assert reserve._held is pieces[0] and reserve._second is pieces[1]
        assert reserve.let_go() and not reserve.good() and not reserve.let_go()
        reserve.size = reserve.spare = 0
        rig.updater.update(URL, "isvv", "now")  # without a reserve there are buffers all the same
        await rig.settle()
        assert [len(piece) for piece in rig.buffers] == [4096, 1792] and not asked.pop(0)[2]
    finally:
        reserve.size = reserve.spare = 0
        reserve.let_go()
    rig.off()


async def test_a_check_without_one_buffer_does_not_hold_the_other():
    """What the reserve could be had of is too small for the first: the second alone is of no use."""
    from port import reserve
    from swupdate import action

    rig = Rig()
    await rig.settle()
    found = []
    reserve.size, reserve.spare, reserve.lent = 3072, 1792, 0
    kept, action.piece = action.piece, lambda size: bytearray(size if size < 4096 else 0)
    sys.modules["swupdate.action"] = action
    try:
        reserve.take()
        second = reserve._second

        async def connect():
            found.append(sys.getrefcount(second) if hasattr(sys, "getrefcount") else 2)

        rig.connect = connect
        rig.updater.update(URL, "isac", "now")
        await rig.settle(lambda: found)
        await rig.settle()
        assert not rig.buffers and found == [2]  # the one of this test, and the argument
        assert rig.updater.state["state"] == "nsa"
    finally:
        action.piece = kept
        sys.modules.pop("swupdate.action", None)
        reserve.size = reserve.spare = 0
        reserve.let_go()
    rig.off()


async def test_what_gives_way_to_a_connection_is_nobody_elses():
    """Else its memory would not come free, and what TLS keeps would need other."""
    rig = Rig()
    found = []

    async def connect():
        found.append(sys.getrefcount(rig.room[0]) if hasattr(sys, "getrefcount") else 2)

    rig.connect = connect
    for action in ("isac", "isvv"):
        rig.updater.update(URL, action, "now")
        await rig.settle(lambda: found)
        await rig.settle()
        assert len(rig.room[0]) == 1920 and found == [2]  # the list's, and the argument
        found.clear()
    rig.off()


async def test_for_want_of_memory_an_app_is_asked_once_more():
    """To make room without the buffers, which may be where the code that asks would be; to go on when the memory is back."""
    for scarce, hooks in (("obtain", ["obtain", "obtain", "go on"]), ("go on", ["obtain", "go on", "go on"])):
        rig = Rig()
        await rig.settle()
        asked = []

        async def ask(what, over=False, asked=asked, scarce=scarce):
            what = "go on" if over else what
            asked.append(what)
            if what == scarce and asked.count(what) == 1:
                raise MemoryError

        rig.updater.ask = ask
        rig.updater.update(URL, "isvv", "now")
        await rig.settle(lambda asked=asked, hooks=hooks: asked == hooks)
        await rig.settle()
        assert rig.updater.state["state"] == "sva" and asked == hooks and not rig.updater.asked
        rig.off()


async def test_a_connection_has_the_buffers_memory_where_there_is_no_other():
    """They are made anew before anything is fetched, and the next step has them."""
    from port import reserve

    rig = Rig()
    await rig.settle()
    reserve.size, reserve.spare, reserve.lent = 4096, 1792, 0
    seen = []

    async def connect():
        rig.ways.append("connect")
        seen.append([len(piece) for piece in rig.buffers])
        if rig.buffers:
            raise MemoryError

    rig.connect = connect
    try:
        reserve.take()
        for action, state in (("isac", "nsa"), ("isvv", "sva")):
            rig.updater.update(URL, action, "now")
            await rig.settle(lambda state=state: rig.updater.state["state"] == state and not rig.updater._task)
            assert seen == [[4096, 1792], []] and rig.ways == ["connect", "close", "connect", "close"]
            assert [len(piece) for piece in rig.buffers] == (
                [4096, 1792] if action == "isvv" else []
            ) and rig.calls.pop()
            assert [len(piece) for piece in (reserve._held, reserve._second)] == [4096, 1792]
            seen.clear()
            rig.ways.clear()
    finally:
        reserve.size = reserve.spare = 0
        reserve.let_go()
    rig.off()


async def test_a_step_that_was_recorded_finds_no_memory_wanting():
    """It would be taken twice: the Client be refused, for its own action is being done."""

    class Full(list):
        def append(self, _effect):
            raise MemoryError

    rig = Rig()
    await rig.settle()
    rig.updater.effects = Full()
    assert rig.updater.update(URL, "isac", "now") is None
    await rig.settle(lambda: rig.updater.state["state"] == "nsa")
    assert rig.calls == ["check"]
    rig.off()
