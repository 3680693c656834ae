"""`swupdate.work`: how often a lost connection is tried again, and when no more."""

from swupdate.faults import Fault
from test_swupdate_manager import URL, Install, Rig


class Losing(Install):
    """The connection is lost after each of `reached` bytes."""

    reached = []

    @staticmethod
    async def obtain(job, progress):
        job.calls.append("obtain")
        progress(0, 100)
        if not Losing.reached:
            job.slots.flash["labels"][job.slots.other] = {
                "seq": 2, "version": "1.1.0", "manifest": b"\x11" * 32, "built": 1850000000,
            }  # fmt: skip
            return await Install.check(job)
        progress(Losing.reached.pop(0), 100)
        raise Fault("lost", "the server was lost")


async def tried(reached, **settings):
    """How often, and the result, when the connection is lost after so many bytes each time."""
    import sys

    Losing.reached = list(reached)
    rig = Rig(**settings)
    sys.modules["swupdate.install.obtain"] = Losing
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    rig.off()
    assert rig.updater.attempts == rig.calls.count("obtain")
    return rig.updater.attempts, rig.updater.state["result"]


async def test_attempts_in_vain_are_few():
    assert await tried([0] * 9) == (3, 4)
    assert await tried([0] * 9, retries=0) == (1, 4)
    assert await tried([0] * 9, retries=5) == (6, 4)
    assert await tried([0, 0]) == (3, 0)


async def test_attempts_that_get_further_do_not_count():
    assert await tried(range(1, 20)) == (20, 0)
    assert await tried([1, 1, 1, 2, 2, 2, 3]) == (8, 0)
    assert await tried([1, 1, 1, 2, 2, 2, 2, 3]) == (7, 4)


async def test_falling_back_is_not_getting_further():
    """What counts is the furthest that was reached: a server that changes what it sends cannot go on for ever."""
    assert await tried([50, 10, 20, 30, 40]) == (4, 4)


async def test_there_is_an_end_all_the_same():
    assert await tried(range(1, 200), attempts=7) == (7, 4)
    assert await tried(range(1, 200)) == (50, 4)


async def test_the_pauses_begin_anew(pauses=()):
    """The longer ones are for a server that is not there."""
    from swupdate import work

    seen = []

    async def sleep(ms):
        seen.append(ms)

    kept, work.sleep_ms = work.sleep_ms, sleep
    import sys

    sys.modules["swupdate.work"] = work
    try:
        assert await tried([0, 0, 1, 1, 1, 2], backoff_ms=(1000, 4000)) == (7, 0)
    finally:
        work.sleep_ms = kept
        sys.modules.pop("swupdate.work", None)
    for pause, least in zip(seen, (1000, 4000, 1000, 1000, 4000, 1000)):  # noqa: B905 - MicroPython has no strict
        assert least <= pause < least * 3 // 2, seen
    assert len(seen) == 6
