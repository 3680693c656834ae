"""`firmware.clock` and the rule of `firmware.ntp`: which time is believed, and for how long a lie lasts."""

from check import raises

import firmware.clock
import firmware.ntp
import firmware.seen
from firmware.clock import Clock

DAY = 86400
YEAR = 365 * DAY
BUILT = 1_780_000_000
WRAP = 1 << 30  # of the chip's ticks, in milliseconds


class Chip:
    """A board's clock and the world around it: the true time, the ticks, the records."""

    def __init__(self, now=BUILT + 10 * DAY):
        self.now = now  # what honest servers answer
        self.on = True
        self.ticks = WRAP - 5000  # about to wrap
        self.offset = None  # of the clock, once it was set
        self.records = {}
        self.saves = 0
        self.broken = False
        firmware.clock.ticks_ms = firmware.seen.ticks_ms = lambda: self.ticks
        firmware.seen.ticks_diff = lambda end, start: (end - start + WRAP // 2) % WRAP - WRAP // 2

    # The board

    def rtc(self):
        return 0 if self.offset is None else self.now + self.offset

    def set_rtc(self, unix):
        self.offset = unix - self.now

    # The store

    def load(self, name):
        return self.records.get(name)

    def save(self, name, data):
        if self.broken:
            raise OSError(28)
        self.records[name] = bytes(data)
        self.saves += 1

    # The world

    def start(self, built=BUILT):
        """Power on, or a reset."""
        return Clock(self, self, built)

    def passes(self, seconds):
        self.now += seconds
        self.ticks = (self.ticks + seconds * 1000) % WRAP

    def off(self, seconds):
        """Without power."""
        self.offset = None
        self.ticks = 0
        self.now += seconds

    def days(self, clock, count, lie=0):
        """Days of answers every four hours, which lie by so many seconds."""
        for _ in range(6 * count):
            self.passes(DAY // 6)
            assert clock.set(self.now + lie)


def test_the_first_answer():
    chip = Chip()
    clock = chip.start()
    told = []
    clock.on_trusted.append(lambda: told.append(clock.now()))
    assert (clock.trusted, clock.now(), clock.floor) == (False, 0, BUILT)
    assert clock.set(chip.now)
    assert clock.trusted and clock.now() == chip.now and told == [chip.now]
    chip.passes(100)
    assert clock.now() == chip.now


def test_never_before_the_release_was_built():
    chip = Chip()
    clock = chip.start()
    assert not clock.set(BUILT - 1)
    assert not clock.trusted and clock.now() == 0
    assert clock.set(BUILT)


def test_off_for_years():
    """The right time is taken at once, with old records, new ones, or none."""
    chip = Chip()
    clock = chip.start()
    clock.set(chip.now)
    chip.days(clock, 3)
    for _ in range(2):
        chip.off(5 * YEAR)
        clock = chip.start()
        assert not clock.trusted
        assert clock.set(chip.now) and clock.now() == chip.now
        assert clock.floor < chip.now


def test_a_forged_future_ends_with_the_next_honest_answer():
    """By whatever comes in between: hours, a reset that keeps the clock, the loss of power."""
    for lie in (DAY, 10 * YEAR, 70 * YEAR):
        chip = Chip()
        clock = chip.start()
        clock.set(chip.now + lie)
        assert clock.now() == chip.now + lie
        assert clock.set(chip.now) and clock.now() == chip.now
        clock.set(chip.now + lie)
        chip.passes(20)
        clock = chip.start()
        assert clock.trusted and clock.now() == chip.now + lie  # the clock ran on
        assert clock.set(chip.now) and clock.now() == chip.now
        clock.set(chip.now + lie)
        chip.off(60)
        clock = chip.start()
        assert not clock.trusted
        assert clock.set(chip.now) and clock.now() == chip.now


def test_a_lie_of_weeks_moves_the_floor_no_faster_than_time_passes():
    chip = Chip(BUILT)  # the floor cannot be any closer to the time
    clock = chip.start()
    chip.days(clock, 40, lie=10 * YEAR)
    assert BUILT + 39 * DAY < clock.floor <= chip.now
    for _ in range(5):
        clock = chip.start()
        assert clock.floor <= chip.now
    assert clock.set(chip.now) and clock.now() == chip.now


def test_answers_that_alternate():
    """As the network says, now this, now that; the floor is none the worse for it."""
    chip = Chip()
    clock = chip.start()
    for i in range(100):
        lie = (10 * YEAR, 0)[i % 2]
        chip.passes(14400)
        assert clock.set(chip.now + lie) and clock.now() == chip.now + lie
        assert clock.floor <= chip.now
    assert clock.now() == chip.now


def test_a_forged_past():
    """Back at most to the floor, which follows the time while the device runs, and is kept without power."""
    chip = Chip()
    clock = chip.start()
    clock.set(chip.now)
    began = clock.floor
    chip.days(clock, 30)
    assert began + 30 * DAY - 60 < clock.floor <= chip.now
    floor = clock.floor
    assert not clock.set(floor - 1) and clock.now() == chip.now
    assert clock.set(floor) and clock.now() == floor
    chip.off(0)
    clock = chip.start()
    assert floor - 10_000 <= clock.floor <= floor
    assert not clock.set(clock.floor - 1) and not clock.trusted
    assert clock.set(chip.now)


def test_the_floor_never_passes_an_honest_clock():
    """Though this device's own time runs fast by a second a minute."""
    chip = Chip(BUILT)
    clock = chip.start()
    for _ in range(2000):
        chip.passes(3600)
        chip.now -= 60
        assert clock.set(chip.now)
        assert clock.floor <= chip.now


def test_ticks_wrap():
    """A silence longer than ticks can count moves the floor by less than it lasted, and never back."""
    for silence in (DAY, 5 * DAY, 7 * DAY, 11 * DAY, 13 * DAY, 25 * DAY, 100 * DAY):
        chip = Chip()
        clock = chip.start()
        clock.set(chip.now)
        before = clock.floor
        chip.passes(silence)
        assert clock.set(chip.now + 10 * YEAR)
        assert before <= clock.floor <= before + silence
        if silence <= 5 * DAY:
            assert clock.floor == before + silence


def test_what_is_kept():
    """Eight times a day at the most, and a record that makes no sense counts for nothing."""
    chip = Chip()
    clock = chip.start()
    clock.set(chip.now)
    chip.saves = 0
    for _ in range(24 * 60):
        chip.passes(60)
        clock.set(chip.now)
    assert 4 <= chip.saves <= 8
    assert BUILT + DAY - 10_060 <= chip.start().floor <= BUILT + DAY
    assert chip.start(0).floor == chip.start().floor
    for nonsense in (b"", b"\xff", b"\xa0", b"\x01", b"\xa1dseenax"):
        chip.records["clock"] = nonsense
        assert chip.start().floor == BUILT


def test_a_record_that_cannot_be_written_keeps_nobody_waiting():
    """Who waits for the time hears of it, whatever the flash says."""
    chip = Chip()
    clock = chip.start()
    told = []
    clock.on_trusted.append(lambda: told.append(1))
    clock.set(chip.now)
    chip.broken = True
    chip.passes(DAY)
    with raises(OSError):
        clock.set(chip.now)
    assert clock.now() == chip.now and told == [1, 1]
    chip.broken = False
    chip.passes(60)
    clock.set(chip.now)
    assert chip.start().floor == clock.floor  # made up for


# Which answer of the network's is believed


class Answers:
    """Time servers that answer these, one after the other."""

    def __init__(self, *answers):
        self.left = list(answers)

    async def __call__(self, name, name_server):
        assert (name, name_server) == ("ntp.example", "192.0.2.1")
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def asked(now, *answers):
    """(What is believed while the clock shows `now`, how many answers were not needed)."""
    real = firmware.ntp._answer
    servers = firmware.ntp._answer = Answers(*answers)
    try:
        return await firmware.ntp.ask("ntp.example", "192.0.2.1", lambda: now), len(servers.left)
    finally:
        firmware.ntp._answer = real


async def test_an_answer_that_agrees_with_the_clock():
    for apart in (-60, 0, 60):
        assert await asked(BUILT, BUILT + apart, 0) == (BUILT + apart, 1)


async def test_two_answers_that_agree_with_each_other():
    """When the clock was never set, or shows something else."""
    for now in (0, BUILT + 61, BUILT - 61, BUILT + 10 * YEAR):
        assert await asked(now, BUILT, BUILT + 3) == (BUILT + 3, 0)


async def test_one_forged_answer_is_not_believed():
    for now in (0, BUILT):
        for pair in ((BUILT + 10 * YEAR, BUILT), (BUILT - YEAR, BUILT), (BUILT + 10 * YEAR, BUILT - YEAR)):
            with raises(OSError, "two answers of the NTP server differ"):
                await asked(now, *pair)
    with raises(OSError, "two answers of the NTP server differ"):
        await asked(0, BUILT, BUILT + 10 * YEAR)
    with raises(OSError, "silent"):
        await asked(0, BUILT + 10 * YEAR, OSError("silent"))
