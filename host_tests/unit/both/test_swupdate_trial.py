"""`swupdate.trial`: each proof is needed, the deadline is kept, and giving up leaves a reason behind."""

import asyncio

from cbor.decoder import decode
from port import sleep_ms
from swupdate.faults import Fault
from swupdate.trial import Trial


class World:
    """What a trial acts on: the updater's confirm, the slots' roll-back, a store and the reset."""

    def __init__(self):
        self.confirmed = self.rolled_back = self.was_reset = False
        self.joined = self.serving = self.well = True
        self.refuse = 0
        self.running, self.other, self.otadata = "ota_1", "ota_0", 0xFFFFFFFF
        self.records = {}

    def confirm(self):
        if self.refuse:
            self.refuse -= 1
            raise OSError(5)
        self.confirmed = True

    def state(self, slot):
        return self.otadata

    def partition(self, slot, half):
        assert (slot, half) == ("ota_0", "fw")
        return self

    def set_boot(self):
        assert "trial" in self.records, "the reason comes first"
        self.rolled_back = True

    def save(self, name, data):
        self.records[name] = data

    def reset(self):
        self.was_reset = True

    def health(self):
        if isinstance(self.well, Exception):
            raise self.well
        return self.well

    def trial(self, prove=None, seconds=1):
        return Trial(
            self, self, self, self.reset, lambda: self.joined, lambda: self.serving, self.health, prove, seconds
        )

    def reason(self):
        return decode(self.records["trial"])["reason"]


async def proven():
    await sleep_ms(1)


async def unproven():
    raise Fault("lost", "no route")


async def test_proven_by_its_own_fetch():
    world = World()
    assert await world.trial(proven).run() is True
    assert world.confirmed and not world.was_reset and not world.records


async def test_proven_by_a_client():
    world = World()
    trial = world.trial(unproven)
    trial.client_seen()
    assert await trial.run() is True and world.confirmed


async def test_every_proof_is_needed():
    for name, words in (("joined", "network"), ("serving", "endpoint"), ("well", "app")):
        world = World()
        setattr(world, name, False)
        assert await world.trial(proven, 0).run() is False
        assert not world.confirmed and world.rolled_back and world.was_reset and words in world.reason(), name


async def test_no_proof_of_a_next_update():
    world = World()
    assert await world.trial(unproven).run() is False
    assert world.rolled_back and "updated again" in world.reason() and "no route" in world.reason()
    world = World()
    assert await world.trial(None, 0).run() is False
    assert world.rolled_back and "updated again" in world.reason()


async def test_a_health_that_raises_is_a_reason():
    world = World()
    world.well = ValueError("the lamp is gone")
    assert await world.trial(proven, 0).run() is False
    assert "the lamp is gone" in world.reason()


async def test_a_shortage_of_memory_may_pass():
    world = World()
    world.well = MemoryError()
    trial = world.trial(proven)

    async def later():
        await sleep_ms(100)
        world.well = True

    asyncio.create_task(later())
    assert await trial.run() and world.confirmed
    world = World()
    world.well = MemoryError()
    assert not await world.trial(proven, 0).run() and "memory" in world.reason()


async def test_a_late_proof_is_in_time():
    world = World()
    world.well = False
    trial = world.trial(proven, 5)

    async def later():
        await sleep_ms(100)
        world.well = True

    task = asyncio.create_task(later())
    assert await trial.run() is True and world.confirmed
    await task


async def test_a_confirmation_that_fails_is_tried_again():
    world = World()
    world.refuse = 1
    assert await world.trial(proven, 5).run() is True and world.confirmed
    world = World()
    world.refuse = 99
    assert await world.trial(proven, 0).run() is False and world.rolled_back


async def test_the_way_back_does_not_depend_on_the_store():
    world = World()
    world.joined = False

    def full(name, data):
        world.records[name] = b""
        raise OSError(28)

    world.save = full
    assert await world.trial(proven, 0).run() is False
    assert world.rolled_back and world.was_reset


async def test_the_way_back_does_not_depend_on_memory():
    world = World()
    world.joined = False

    def no_room(name, data):
        world.records[name] = b""
        raise MemoryError

    world.save = no_room
    assert await world.trial(proven, 0).run() is False
    assert world.rolled_back and world.was_reset


async def test_a_proof_is_tried_again_where_there_was_no_memory_to_judge_its_failure():
    world = World()
    asked = []

    async def reachable():
        asked.append(1)
        if len(asked) == 1:
            raise MemoryError
        return False

    trial = Trial(world, world, world, world.reset, lambda: True, lambda: True, lambda: True, unproven, 3, reachable)
    trial.client_seen()
    assert await trial.run() and len(asked) == 2


async def test_from_a_pending_slot_a_reset_is_the_way_back():
    world = World()
    world.otadata = 1
    assert await world.trial(None, 0).run() is False
    assert world.was_reset and not world.rolled_back and world.reason()


async def test_a_client_is_a_proof_only_where_the_fetch_failed_for_others():
    """Cause of the failed fetch, whether the server takes connections, and whether a Client's exchange then counts."""
    for cause, listens, kept in (
        ("lost", False, True),
        ("lost", True, False),
        ("status", True, True),
        ("invalid", True, False),
        ("memory", False, False),
        ("", False, False),
    ):
        world = World()

        async def prove(cause=cause):
            raise Fault(cause, "no fetch") if cause else ValueError("it is broken")

        async def reachable(listens=listens):
            return listens

        trial = Trial(
            world, world, world, world.reset, lambda: True, lambda: True, lambda: True, prove, 0.3, reachable
        )
        trial.client_seen()
        assert await trial.run() is kept, (cause, listens)
        assert world.confirmed is kept and world.was_reset is not kept
