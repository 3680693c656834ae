"""`swupdate.manager`: an Updater with a store, slots and a package source that really keep what they are given."""

import asyncio
import sys

from port import reserve, sleep_ms
from swupdate import boot
from swupdate.faults import Fault
from swupdate.machine import CM, action
from swupdate.manager import Updater

URL = "https://myvendor/new"
DIGEST = b"\x11" * 32


class Memory:
    def __init__(self):
        self.records = {}
        self.broken = False

    def load(self, name):
        return self.records.get(name)

    def save(self, name, data):
        if self.broken:
            raise OSError(28)
        self.records[name] = bytes(data)

    def remove(self, name):
        self.records.pop(name, None)


class Clock:
    def __init__(self, unix=1900000000):
        self.unix = unix
        self.on_trusted = []

    @property
    def trusted(self):
        return self.unix != 0

    def now(self):
        return self.unix

    def set(self, unix):
        self.unix = unix
        for listener in self.on_trusted:
            listener()


class Slots:
    """Two slots and otadata, as a dict that outlives the "power"."""

    def __init__(self, flash):
        self.flash = flash
        self.running = flash["boot"]
        self.other = "ota_1" if self.running == "ota_0" else "ota_0"
        self.refuse = False

    def label(self, slot):
        return self.flash["labels"].get(slot)

    def state(self, slot):
        return self.flash["states"].get(slot)

    @property
    def confirmed(self):
        return self.state(self.running) != 1

    def partition(self, slot, half):
        return Partition(self, slot, half)


class Partition:
    """What is asked of an esp32.Partition to see whether a slot could be started, and to have it started."""

    def __init__(self, slots, slot, half):
        self.slots, self.slot, self.half = slots, slot, half

    def readblocks(self, _block, buf, _offset):
        if self.slots.label(self.slot):
            buf[:] = b"\xe9\0\0" if self.half == "fw" else b"\xd2\xcd\x31"

    def set_boot(self):
        if self.slots.refuse:
            raise OSError(-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
        self.slots.flash["states"][self.slot] = 0
        self.slots.flash["boot"] = self.slot

    def mark_app_valid_cancel_rollback(self):
        self.slots.flash["states"][self.slot] = 2


def factory():
    label = {"seq": 1, "version": "1.0.0", "manifest": b"\x01" * 32, "built": 1800000000}
    return {"boot": "ota_0", "labels": {"ota_0": label}, "states": {"ota_0": 2}}


class Pstat:
    def __init__(self):
        self.operational = True
        self.cm = self.tm = 0
        self.observer = None

    def show(self, cm, tm):
        self.cm, self.tm = cm, tm

    def notify(self):
        if self.observer:
            self.observer()


class Offer:
    version, seq, manifest = "1.1.0", 2, memoryview(DIGEST)


class Install:
    """Stands for the module of the install phase: takes what `job.script` says, writes the label of the other slot."""

    @staticmethod
    async def check(job):
        await sleep_ms(0)
        job.take("check")
        return Offer() if job.newer() else None

    @staticmethod
    async def obtain(job, progress):
        for done in range(0, 101, 10):
            progress(done, 100)
            await sleep_ms(2)
        job.take("obtain")
        if not job.newer():
            return None
        job.slots.flash["labels"][job.slots.other] = {
            "seq": 2,
            "version": "1.1.0",
            "manifest": DIGEST,
            "built": 1850000000,
        }
        return Offer()

    @staticmethod
    def verify(job):
        job.take("verify")


class Rig:
    """A Device without its network: one boot of it. `flash` and `store` go from one to the next."""

    def __init__(self, flash=None, store=None, clock=None, cause="power", **settings):
        self.flash = flash or factory()
        self.store = store or Memory()
        self.clock = clock or Clock()
        self.slots = Slots(self.flash)
        self.pstat = self.make_pstat()
        self.seen = []
        self.calls = []
        self.script = []
        self.hooks = []
        self.ways = []  # connections that a job was told to begin, and to end
        self.rebooted = False
        settings.setdefault("backoff_ms", (1, 2))
        settings.setdefault("manufactured", 1700000000)
        self.updater = u = Updater(self.store, self.clock, self.slots, self.pstat, self.job, settings, self.reboot)
        u.watchers.append(lambda: self.see("swu"))
        self.pstat.observer = lambda: self.see("pstat")
        u.ask = self.hook
        sys.modules["swupdate.install.obtain"] = Install
        boot.start(u, cause)
        self.task = asyncio.create_task(u.run())

    async def hook(self, name, over=False):
        """What the app is asked: it may take its time."""
        self.hooks.append("go on" if over else name)

    def make_pstat(self):
        return Pstat()

    def job(self, url):
        self.url = url
        return self

    async def connect(self):
        self.ways.append("connect")

    def close(self):
        self.ways.append("close")

    def newer(self):
        return self.slots.label(self.slots.running)["seq"] < 2

    def take(self, call):
        self.calls.append(call)
        if self.script:
            step = self.script.pop(0)
            if step is not None:
                raise step

    def reboot(self):
        self.rebooted = True
        self.hooks.append("reboot")

    def see(self, who):
        s = self.updater.state
        assert self.pstat.cm == CM[s["state"]] and self.pstat.tm == s["tm"], "cm and state have to change together"
        self.seen.append((who, s["state"], self.pstat.cm, action(s), s["result"], self.pstat.tm))

    async def settle(self, until=None):
        """Until nothing runs and nothing waits, or `until` is true."""
        u = self.updater
        for _ in range(2000):
            if until() if until else (u._task is None and not u.effects and not u.asked):
                return
            await sleep_ms(1)
        raise AssertionError("never settled: %s" % u.state)

    def steps(self, who="swu"):
        return [seen[1:] for seen in self.seen if seen[0] == who]

    def off(self):
        self.task.cancel()
        if self.updater._task:
            self.updater._task.cancel()

    def again(self, cause="reset", state=None):
        """The next boot. `state`: what the bootloader makes of the slot it starts."""
        self.off()
        if state is not None:
            self.flash["states"][self.flash["boot"]] = state
        return type(self)(self.flash, self.store, self.clock, cause)


async def test_check_by_hand():
    rig = Rig()
    assert rig.updater.update(URL, "idle", "now") is None
    assert rig.updater.target(256) is None
    assert (rig.pstat.tm, action(rig.updater.state)) == (256, "isac")
    await rig.settle()
    assert rig.steps()[1:] == rig.steps("pstat")[1:] == [
        ("idle", 0, "isac", 0, 256), ("nsa", 256, "idle", 0, 0),
    ]  # fmt: skip
    assert rig.updater.state["nv"] == "1.1.0" and rig.url == URL and rig.calls == ["check"]
    rig.off()


async def test_the_whole_update_and_its_trial():
    rig = Rig()
    assert rig.updater.update(URL, "upgrade", "now") is None
    await rig.settle(lambda: rig.rebooted)
    assert rig.steps() == rig.steps("pstat") == [
        ("svv", 256, "upgrade", 0, 0), ("sva", 320, "upgrade", 0, 0), ("upgrading", 448, "upgrade", 0, 0),
    ]  # fmt: skip
    assert rig.calls == ["obtain", "verify"] and rig.hooks[:2] == ["obtain", "reboot"], (
        "an app is not started for that"
    )
    assert rig.ways == ["connect", "close", "close"]
    assert rig.updater.target(64)[0] == 0xA3 and rig.updater.update(URL, "isac", "now")[0] == 0xA3

    rig = rig.again(state=1)
    await rig.settle()
    assert rig.steps() == [("upgrading", 448, "upgrade", 0, 0)] and rig.updater.floor == 1
    assert rig.updater.update(URL, "isac", "now")[0] == 0xA3
    rig.updater.confirm()
    await rig.settle()
    assert rig.steps()[-1] == ("idle", 0, "idle", 1, 0) and rig.updater.floor == 2
    assert rig.updater.shown[1] == "2030-03-17T17:46:40Z"
    assert rig.updater.state["nv"] == "" and rig.updater.state["purl"] == URL

    rig = rig.again(cause="power")
    assert rig.updater.state["result"] == 1 and rig.updater.floor == 2
    await rig.settle()
    assert rig.updater.target(64) is None
    await rig.settle()
    assert rig.updater.state["reason"] == "up to date" and rig.updater.state["result"] == 0
    rig.off()


async def test_rolled_back_then_tried_again_after_a_power_cut():
    rig = Rig()
    rig.updater.update(URL, "upgrade", "now")
    await rig.settle(lambda: rig.rebooted)
    rig.flash["boot"] = "ota_0"
    rig.flash["states"]["ota_1"] = 4
    rig = rig.again(cause="power")
    await rig.settle(lambda: rig.rebooted)
    assert rig.flash["boot"] == "ota_1" and rig.updater.state["tries"] == 2
    rig.flash["boot"] = "ota_0"
    rig.flash["states"]["ota_1"] = 4
    rig = rig.again(cause="watchdog")
    await rig.settle()
    assert rig.steps() == [("idle", 0, "idle", 8, 0)] and "watchdog" in rig.updater.state["reason"]
    assert rig.updater.shown[1] == "2023-11-14T22:13:20Z", "the date of manufacture: nothing was updated"
    rig.off()


async def test_a_lost_connection_is_tried_again():
    rig = Rig()
    rig.script = [Fault("lost", "reset by peer"), OSError(104), None]
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    assert rig.calls == ["obtain"] * 3 and rig.updater.state["state"] == "sva" and rig.updater.attempts == 3
    assert rig.hooks == ["obtain", "go on"], "what the app gave back is kept from try to try"
    rig.script = [Fault("lost", "1"), Fault("lost", "2"), Fault("lost", "3"), None]
    rig.updater.update(URL, "isac", "now")
    await rig.settle()
    s = rig.updater.state
    assert (s["result"], s["reason"], s["state"]) == (4, "3", "idle")
    rig.off()


async def test_what_found_no_memory_is_tried_again():
    rig = Rig()
    rig.script = [MemoryError(), MemoryError(), None]
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    assert rig.calls == ["obtain"] * 3 and rig.updater.state["state"] == "sva"
    rig.script = [MemoryError()] * 3 + [None]
    rig.updater.update(URL, "isac", "now")
    await rig.settle()
    s = rig.updater.state
    assert (s["result"], s["reason"], s["state"]) == (2, "not enough memory", "idle") and rig.script == [None]
    rig.off()


async def test_other_failures_are_not_tried_again():
    for error, result in (
        (Fault("invalid", "x"), 5),
        (Fault("status", "x", 404), 404),
        (Fault("space", "x"), 3),
        (Fault("flash", "x"), 3),
        (Fault("memory", "x"), 2),
        (Fault("scheme", "x"), 7),
        (Fault("url", "x"), 6),
        (ValueError("a bug"), 8),
    ):
        rig = Rig()
        rig.script = [error]
        rig.updater.update(URL, "isvv", "now")
        if not isinstance(error, ValueError):
            await rig.settle()
        else:
            await quietly(rig)
        s = rig.updater.state
        assert (s["result"], s["state"], len(rig.calls)) == (result, "idle", 1) and s["reason"]
        rig.script = []
        assert rig.updater.update(URL, "isac", "now") is None
        await rig.settle()
        assert rig.updater.state["state"] == "nsa", "the loop goes on"
        rig.off()


async def quietly(rig):
    """Settle without the traceback that is printed for a bug."""
    from swupdate import work

    kept, work.print_exception = work.print_exception, lambda error: None
    try:
        await rig.settle()
    finally:
        work.print_exception = kept


async def test_no_url_by_hand_is_result_6():
    rig = Rig()
    assert rig.updater.target(256) is None
    await rig.settle()
    assert rig.steps() == [("idle", 0, "isac", 0, 256), ("idle", 0, "idle", 6, 0)]
    rig.off()
    rig = Rig(url="https://vendor/built-in")
    assert rig.updater.target(256) is None
    await rig.settle()
    assert rig.url == "https://vendor/built-in" and rig.updater.state["state"] == "nsa"
    rig.off()


async def test_bad_urls():
    rig = Rig()
    for purl, result in (("nonsense", 6), ("http://host/x", 7), ("coap://host/x", 7)):
        code, words = rig.updater.update(purl, "idle", "now")
        assert code == 0x80 and words and rig.updater.state["result"] == result and rig.updater.state["purl"] == ""
    await rig.settle()
    assert len(rig.steps()) == 3
    rig.off()
    rig = Rig(schemes=("https", "coap"))
    assert rig.updater.update("coap://host/x", "idle", "now") is None
    rig.off()


async def test_failure_to_arm():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    rig.slots.refuse = True
    rig.updater.target(128)
    await rig.settle()
    assert rig.steps()[-1] == ("sva", 320, "idle", 8, 0) and not rig.rebooted and rig.flash["boot"] == "ota_0"
    rig.slots.refuse = False
    rig.script = [Fault("invalid", "sector 3 has changed")]
    rig.updater.target(128)
    await rig.settle()
    assert rig.steps()[-1] == ("idle", 0, "idle", 8, 0) and rig.updater.state["reason"] == "sector 3 has changed"
    rig.off()


async def test_what_is_in_the_slot_has_to_be_what_was_validated():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    rig.flash["labels"]["ota_1"]["manifest"] = b"\x02" * 32
    rig.updater.target(128)
    await rig.settle()
    assert rig.steps()[-1] == ("idle", 0, "idle", 8, 0) and "verify" not in rig.calls and not rig.rebooted
    rig.off()


async def test_no_restart_outside_rfnop():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    rig.updater.target(128)
    rig.pstat.operational = False
    await rig.settle(lambda: "verify" in rig.calls)
    await sleep_ms(300)
    assert not rig.rebooted and rig.flash["boot"] == "ota_0"
    assert not reserve.lent, "as long as it is, a radio without memory restarts nothing"
    rig.pstat.operational = True
    await rig.settle(lambda: rig.rebooted)
    rig.off()


async def test_what_was_notified_is_out_before_the_restart():
    rig = Rig()
    order = []

    async def flush():
        await sleep_ms(1)
        order.append((rig.steps()[-1][0], rig.flash["boot"], rig.rebooted))

    rig.updater.flush = flush
    rig.updater.update(URL, "upgrade", "now")
    await rig.settle(lambda: rig.rebooted)
    assert order == [("upgrading", "ota_1", False)]
    rig.off()


async def test_schedule():
    clock = Clock()
    rig = Rig(clock=clock)
    assert rig.updater.update(URL, "isac", clock.unix + 5) is None
    await rig.settle()
    await sleep_ms(20)
    assert rig.calls == [] and action(rig.updater.state) == "isac"
    clock.set(clock.unix + 5)
    await rig.settle(lambda: rig.calls)
    await rig.settle()
    assert rig.updater.state["state"] == "nsa" and action(rig.updater.state) == "idle"
    rig.off()


async def scheduled_then_off(clock, when):
    rig = Rig(clock=clock)
    rig.updater.update(URL, "isac", when)
    await rig.settle()
    clock.unix = 0
    rig = rig.again("power")
    await sleep_ms(10)
    assert action(rig.updater.state) == "isac" and rig.calls == [], "without a clock nothing is known of time"
    return rig


async def test_schedule_survives_a_power_cut():
    clock = Clock()
    when = clock.unix + 60
    rig = await scheduled_then_off(clock, when)
    clock.set(when - 1)
    await rig.settle(lambda: rig.updater.armed == when)
    assert rig.calls == []
    clock.set(when)
    await rig.settle(lambda: rig.calls == ["check"])
    rig.off()


async def test_schedule_whose_time_passed_without_power_is_dropped():
    clock = Clock()
    when = clock.unix + 60
    rig = await scheduled_then_off(clock, when)
    clock.set(when + 1)
    await rig.settle(lambda: action(rig.updater.state) == "idle")
    await rig.settle()
    assert rig.calls == [] and rig.steps() == [("idle", 0, "idle", 0, 0)] and "passed" in rig.updater.state["reason"]
    rig.off()


async def test_due_while_something_runs():
    clock = Clock()
    rig = Rig(clock=clock)
    rig.updater.update(URL, "isac", clock.unix + 5)
    assert rig.updater.target(64) is None
    assert action(rig.updater.state) == "isvv"
    clock.set(clock.unix + 5)
    await rig.settle(lambda: rig.calls == ["obtain", "check"])
    await rig.settle()
    assert rig.updater.state["state"] == "nsa"
    rig.off()


async def test_interrupted_work_is_taken_up_again():
    rig = Rig()
    rig.updater.update(URL, "isvv", "now")
    await rig.settle(lambda: rig.updater.done)
    rig = rig.again("power")
    assert rig.updater.state["state"] == "svv" and rig.pstat.cm == 256
    await rig.settle()
    assert rig.calls == ["obtain"] and rig.updater.state["state"] == "sva"
    rig.off()


async def test_state_is_kept():
    clock = Clock()
    rig = Rig(clock=clock)
    rig.updater.update(URL, "isvv", "now")
    await rig.settle()
    rig.updater.update(URL + "/x", "upgrade", clock.unix + 99)
    await rig.settle()
    before = dict(rig.updater.state)
    rig = rig.again("power")
    before["slot"] = "ota_0"
    assert rig.updater.state == before and rig.pstat.cm == 320
    rig.off()


async def test_a_store_that_fails_does_not_end_the_loop():
    from swupdate import manager

    rig = Rig()
    rig.store.broken = True
    kept, manager.print_exception = manager.print_exception, lambda error: None
    try:
        rig.updater.update(URL, "upgrade", "now")
        await rig.settle()
    finally:
        manager.print_exception = kept
    assert rig.updater.state["result"] == 8 and "record" in rig.updater.state["reason"]
    assert not rig.rebooted and rig.flash["boot"] == "ota_0", "what is not recorded is not armed"
    rig.off()


async def test_progress_is_told_now_and_then():
    from swupdate.work import teller

    rig = Rig()
    told = []
    rig.updater.progress_watchers.append(lambda: told.append(rig.updater.done))
    progress = teller(rig.updater)
    for done in range(0, 100001, 100):
        progress(done, 100000)
    assert told[0] == 0 and told[-1] == 100000 and 20 <= len(told) <= 25
    rig.off()


async def test_observers_that_fail_do_not_end_the_loop():
    from swupdate import manager

    rig = Rig()

    def broken():
        raise ValueError("observer")

    rig.updater.watchers.append(broken)
    kept, manager.print_exception = manager.print_exception, lambda error: None
    try:
        rig.updater.update(URL, "isac", "now")
        await rig.settle()
    finally:
        manager.print_exception = kept
    assert rig.updater.state["state"] == "nsa"
    rig.off()


async def test_a_phase_that_does_not_fit_is_not_enough_memory():
    from swupdate import manager

    rig = Rig()
    kept = manager.phase

    class TooLarge(kept):
        def __enter__(self):
            if self._names == ("swupdate.action",):
                raise MemoryError
            return super().__enter__()

    rig.updater.update(URL, "idle", "now")
    manager.phase = TooLarge
    try:
        rig.updater.target(256)
        await rig.settle()
    finally:
        manager.phase = kept
    assert rig.steps()[-1] == ("idle", 0, "idle", 2, 0)
    rig.off()


async def test_back_in_the_old_version_by_arming_it_needs_no_trial():
    rig = Rig()
    rig.updater.update(URL, "upgrade", "now")
    await rig.settle(lambda: rig.rebooted)
    rig.flash["states"]["ota_1"] = 1
    rig.flash["boot"] = "ota_0"
    rig = rig.again(state=1)
    await rig.settle()
    assert rig.steps() == [("idle", 0, "idle", 8, 0)] and rig.slots.confirmed and rig.updater.floor == 1
    rig.off()
