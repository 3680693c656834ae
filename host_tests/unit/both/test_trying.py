"""`firmware.trying`: the app's health is asked until the trial is over, whatever one answer brings."""

import asyncio

from port import ticks_diff, ticks_ms

from firmware import trying


class Thing:
    """A bag of attributes."""

    def __init__(self, **values):
        for name in values:
            setattr(self, name, values[name])


class App:
    """Gives `answers`, one after the other, then the last for ever; an exception among them is raised."""

    started = True
    crashed = None

    def __init__(self, *answers):
        self.answers = list(answers)

    async def ask(self, name, default):
        assert (name, default) == ("health", True)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class World:
    """A node on trial that a Client has reached, and that has nowhere to fetch from. `ready_ms`: until its network is
    joined."""

    def __init__(self, app, ready_ms=0):
        self.confirmed = self.rebooted = 0
        began = ticks_ms()
        self.node = Thing(
            version="1", app=app, log=lambda level, text: None, trial=None, ocf=Thing(seen=None),
            updater=Thing(state={"purl": ""}, confirm=self.confirm), dtls=self, reboot=self.reboot, job=lambda url: None,
            settings={"url": "", "trial_s": 2}, store=Thing(save=lambda name, data: None),
            slots=Thing(running="ota_0", state=lambda slot: 1),
        )  # fmt: skip

        class Board:
            @property
            def joined(self):
                return ticks_diff(ticks_ms(), began) >= ready_ms

            @staticmethod
            def dns():
                return ""

        self.node.board = Board()

    def confirm(self):
        self.confirmed += 1

    def reboot(self):
        self.rebooted += 1

    async def run(self):
        async def meet():
            while not self.node.ocf.seen:
                await asyncio.sleep(0)
            self.node.ocf.seen("a Client")

        task = asyncio.create_task(meet())
        await trying.run(self.node)
        await task
        return self.confirmed


async def test_a_health_that_is_well():
    assert await World(App(True)).run()


async def test_a_health_that_could_not_be_asked_for_want_of_memory_is_asked_again():
    assert await World(App(MemoryError(), True)).run()


async def test_what_was_well_before_memory_ended_does_not_count():
    world = World(App(True, MemoryError(), False), ready_ms=1300)
    assert not await world.run() and world.rebooted


async def test_an_app_that_ends_the_question_is_not_well():
    world = World(App(True, asyncio.CancelledError()), ready_ms=700)
    assert not await world.run() and world.rebooted
