"""The trust store in force: how it is kept, what of it is lost with what, and from where sequence numbers count."""

from cbor.decoder import decode
from check import raises
from install_rig import Rig
from recipe import SECTOR, Recipe, dumps, key, payload, sha
from swupdate import floor, trust
from swupdate.faults import Fault
from swupdate.install import obtain

APP = payload("app", SECTOR + 7, 5)


class Nvs:
    """esp32.NVS, as far as it is used. `broken` refuses to be written."""

    def __init__(self):
        self.kept = {}
        self.pending = {}
        self.broken = False

    def get_blob(self, name, buf):
        if name not in self.kept:
            raise OSError(-0x1102)
        if len(self.kept[name]) > len(buf):
            raise OSError(-0x110C)
        buf[: len(self.kept[name])] = self.kept[name]
        return len(self.kept[name])

    def set_blob(self, name, data):
        self.pending[name] = bytes(data)

    def commit(self):
        if self.broken:
            raise OSError(-0x1105)
        self.kept.update(self.pending)
        self.pending = {}


def record(n=1, since=0, floor=0, secrets=(4,)):
    return {
        "v": 1, "n": n, "keys": dict([key(secret) for secret in secrets]), "threshold": 1, "since": since,
        "floor": floor, "revoked": [], "digest": bytes(32), "manifest": sha(b"%d" % n), "built": 5,
    }  # fmt: skip


def put(rig, nvs, found):
    trust.stage(rig.store, found)
    assert trust.apply(rig.store, nvs, found["manifest"])["n"] == found["n"]


def test_it_is_kept_twice():
    rig, nvs = Rig(), Nvs()
    assert trust.load(rig.store, nvs) is None and trust.load(rig.store, None) is None
    put(rig, nvs, record())
    assert list(rig.store.files) == ["trust"] and nvs.kept["trust"] == rig.store.files["trust"]
    for lost in ("store", "nvs"):
        if lost == "store":
            rig.store.files.clear()
        else:
            nvs.kept.clear()
        assert trust.load(rig.store, nvs)["keys"] == dict([key(4)])
        assert nvs.kept["trust"] == rig.store.files["trust"]  # made good
    rig.store.files.clear()
    nvs.kept.clear()
    assert trust.load(rig.store, nvs) is None


def test_the_highest_whole_copy_counts():
    rig, nvs = Rig(), Nvs()
    put(rig, None, record(2))
    newer = rig.store.files["trust"]
    put(rig, nvs, record(1))
    older = rig.store.files["trust"]
    for here, there in (
        (older, newer),
        (newer, older),
        (newer, b""),
        (b"", newer),
        (newer, newer[:-1]),
        (b"x", newer),
    ):
        rig.store.files["trust"], nvs.kept["trust"] = here, there
        assert trust.load(rig.store, nvs)["n"] == 2
        assert rig.store.files["trust"] == nvs.kept["trust"] == newer
    for at in range(len(newer)):
        data = bytearray(newer)
        data[at] ^= 1
        rig.store.files["trust"], nvs.kept["trust"] = bytes(data), older
        assert trust.load(rig.store, nvs)["n"] == 1, at
    nvs.kept["trust"] = bytes(4000)
    rig.store.files["trust"] = older
    assert trust.load(rig.store, nvs)["n"] == 1


def test_records_of_any_shape():
    """Sealed, and still none: a later format, or nonsense."""
    for change in (
        {"n": 0},
        {"n": "1"},
        {"keys": {}},
        {"keys": 5},
        {"threshold": 0},
        {"since": None},
        {"manifest": b""},
    ):
        rig = Rig()
        found = record()
        found.update(change)
        trust.stage(rig.store, found)
        assert trust.staged(rig.store) is None
        rig.store.files["trust"] = rig.store.files["nexttrust"]
        assert trust.load(rig.store, None) is None
    for body in (b"", b"\xff", dumps([]), dumps({}), dumps(5)):
        rig.store.files["trust"] = body + sha(body)
        assert trust.load(rig.store, None) is None
    later = record()
    later["v"], later["more"] = 2, "unknown"
    trust.stage(rig.store, later)
    assert trust.staged(rig.store)["n"] == 1


def test_a_flash_that_refuses():
    """Not written: the old one is in force. Written once: the new one is, and the copy is made good later."""
    rig, nvs = Rig(), Nvs()
    put(rig, nvs, record(1))
    trust.stage(rig.store, record(2))
    rig.store.broken = True
    with raises(OSError):
        trust.apply(rig.store, nvs, record(2)["manifest"])
    assert trust.load(rig.store, nvs)["n"] == 1
    rig.store.broken, nvs.broken = False, True
    assert trust.apply(rig.store, nvs, record(2)["manifest"])["n"] == 2
    nvs.broken = False
    assert trust.load(rig.store, nvs)["n"] == 2 and nvs.kept["trust"] == rig.store.files["trust"]


def test_only_what_was_validated_is_put_in_force():
    rig, nvs = Rig(), Nvs()
    assert trust.apply(rig.store, nvs, bytes(32)) is None
    trust.stage(rig.store, record(2))
    assert trust.apply(rig.store, nvs, record(1)["manifest"]) is None and trust.load(rig.store, nvs) is None
    put(rig, nvs, record(2))
    assert trust.apply(rig.store, nvs, record(2)["manifest"])["n"] == 2  # again, after a power cut
    trust.stage(rig.store, record(1))
    assert trust.apply(rig.store, nvs, record(1)["manifest"]) is None  # nor one that is older
    assert trust.load(rig.store, nvs)["n"] == 2


# Sequence numbers that begin anew


class Slots:
    running, other, confirmed = "ota_0", "ota_1", True

    def __init__(self, seq, number=0):
        self.seq, self.number = seq, number

    def label(self, slot):
        found = {"seq": self.seq, "version": "1", "manifest": bytes(32), "built": 5}
        if self.number:
            found["trust"] = self.number
        return found


def test_a_floor_that_is_set_holds_over_starts():
    rig, nvs = Rig(), Nvs()
    forward = Slots(900_000)
    assert floor.floor(rig.store, nvs, forward) == 900_000
    put(rig, nvs, record(3, since=3, floor=50))
    for _ in range(3):
        assert floor.floor(rig.store, nvs, forward) == 50
    assert floor.floor(rig.store, nvs, Slots(60, 2)) == 50  # installed before, whatever its number
    assert floor.floor(rig.store, nvs, Slots(51, 3)) == 51
    assert floor.floor(rig.store, nvs, forward) == 51  # an older slot was started
    put(rig, nvs, record(4, since=3, floor=50))  # the next says nothing of it
    assert floor.floor(rig.store, nvs, Slots(51, 3)) == 51
    kept = dict(rig.store.files)
    for lose in (rig.store.files, nvs.kept):
        lose.clear()
        assert floor.floor(rig.store, nvs, forward) == 51
    assert rig.store.files["floor3"] == kept["floor3"]
    put(rig, nvs, record(5, since=5, floor=0))
    assert floor.floor(rig.store, nvs, Slots(51, 3)) == 0
    assert floor.floor(rig.store, nvs, Slots(7, 5)) == 7


def test_without_one_nothing_begins_anew():
    rig, nvs = Rig(), Nvs()
    assert floor.floor(rig.store, nvs, Slots(9)) == 9
    put(rig, nvs, record(1))
    assert floor.floor(rig.store, nvs, Slots(3, 1)) == 9 and floor.floor(rig.store, nvs, Slots(10, 1)) == 10
    assert decode(rig.store.files["floor"])["seq"] == 10


async def test_what_runs_with_a_number_of_before_counts_no_more():
    rig = Rig()
    rig.running["seq"] = rig.floor = 900
    rig.fill("ota_0", "app_0", rig.fw, rig.app, rig.running)
    legal = Recipe([("app", APP)], 51)
    rig.offer(legal, 1)
    with raises(Fault, "rollback"):
        await obtain.obtain(rig, rig.progress)
    rig.trust.number = rig.trust.since = 3
    rig.floor = 50
    rig.offer(Recipe([("app", APP)], 49), 1)
    with raises(Fault, "rollback"):
        await obtain.obtain(rig, rig.progress)
    rig.offer(Recipe([("app", APP)], 900), 1)  # not the running one's number any more
    assert (await obtain.check(rig)).seq == 900
    rig.offer(legal, 1)
    await obtain.obtain(rig, rig.progress)
    assert rig.slots.label("ota_1")["trust"] == 3 and rig.slots.label("ota_1")["seq"] == 51
    # Validated with an older trust store, it is written once more: its label says so.
    rig.trust.number = 4
    rig.flash.log.clear()
    await obtain.obtain(rig, rig.progress)
    assert rig.slots.label("ota_1")["trust"] == 4
    rig.flash.log.clear()
    await obtain.obtain(rig, rig.progress)
    assert not rig.flash.log
