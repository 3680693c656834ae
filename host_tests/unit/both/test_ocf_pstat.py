"""`ocf.pstat`: onboarding states, modes, what may be written when."""

import asyncio

from check import raises
from ocf.device import Device
from ocf.pstat import NIL, RESET, RFNOP, RFOTM, RFPRO, SRESET, Pstat
from ocf.uuids import is_uuid
from ocf_rig import Ears, MemoryStore, Open, get, post

OWNER = "12345678-1234-1234-1234-123456789abc"
PATH = "/oic/sec/pstat"


def rig(state=RFNOP, store=None):
    store = store or MemoryStore()
    pstat = Pstat(store, state)
    device = Device(Open(), OWNER)
    device.store = store
    device.add(pstat)
    return device, pstat


def test_representation():
    device, _ = rig()
    assert get(device, PATH) == (
        0x45,
        {"dos": {"s": 3, "p": False}, "isop": True, "cm": 0, "tm": 0, "om": 4, "sm": 4, "rowneruuid": NIL},
    )


async def test_every_transition():
    legal = {
        (RFOTM, RESET), (RFOTM, RFPRO), (RFOTM, RFNOP),
        (RFPRO, RESET), (RFPRO, RFPRO), (RFPRO, RFNOP), (RFPRO, SRESET),
        (RFNOP, RESET), (RFNOP, RFPRO), (RFNOP, RFNOP), (RFNOP, SRESET),
        (SRESET, RESET), (SRESET, RFPRO), (SRESET, SRESET),
    }  # fmt: skip
    for begin in (RFOTM, RFPRO, RFNOP, SRESET):
        for end in range(5):
            device, pstat = rig(begin)
            code, _ = post(device, PATH, {"dos": {"s": end}})
            assert (code == 0x44) == ((begin, end) in legal), (begin, end)
            if end == RESET:
                code, shown = get(device, PATH)  # RESET has begun, its hooks have not
                assert shown["dos"] == {"s": 0, "p": True} and (shown["cm"], shown["tm"], shown["isop"]) == (
                    1,
                    2,
                    False,
                )
                assert post(device, PATH, {"dos": {"s": 1}})[0] == 0x80  # RESET ends by itself
                assert post(device, PATH, {"tm": 0})[0] == post(device, PATH, {"om": 4})[0] == 0x80
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert pstat.state == RFOTM and not pstat.pending
            else:
                assert pstat.state == (end if code == 0x44 else begin)
            assert pstat.operational == (pstat.state == RFNOP)
            assert Pstat(device.store, begin).state == pstat.state


def test_modes_by_state():
    for state, cm, tm in ((RFOTM, 2, 0), (RFPRO, 0, 0), (RFNOP, 448, 128), (SRESET, 1, 0)):
        device, pstat = rig(state)
        pstat.show(448, 128)
        shown = dict(pstat.get())
        assert (shown["cm"], shown["tm"]) == (cm, tm)


def test_refusals_change_nothing():
    device, pstat = rig()
    for body in (
        {"cm": 0}, {"isop": True}, {"sm": 4}, {"dos": {"p": True}}, {"dos": {"s": 2, "p": True}}, {"dos": {}},
        {"dos": {"s": 5}}, {"dos": {"s": "2"}}, {"dos": {"s": True}},
        {"dos": {"s": False}}, {"dos": 2}, {"om": 1}, {"om": 8}, {"om": "4"},
        {"tm": -1}, {"tm": 65536}, {"tm": "64"}, {"tm": True}, {"rowneruuid": OWNER}, {"nonsense": 1},
        {"om": 6, "cm": 1}, {"dos": {"s": 2}, "om": 1},
    ):  # fmt: skip
        assert post(device, PATH, body)[0] == 0x80, body
        assert (pstat.state, pstat.om, pstat.rowneruuid) == (RFNOP, 4, NIL), body


def test_owner_is_written_when_nobody_operates():
    for state in (RFOTM, SRESET):
        device, pstat = rig(state)
        assert post(device, PATH, {"rowneruuid": "nonsense"})[0] == 0x80
        assert post(device, PATH, {"rowneruuid": OWNER}) == (0x44, None) and pstat.rowneruuid == OWNER


def test_target_mode_goes_to_the_update():
    device, pstat = rig()
    asked = []
    pstat.on_tm = lambda bits: asked.append(bits)
    assert post(device, PATH, {"tm": 256}) == (0x44, None)
    assert post(device, PATH, {"tm": 0}) == (0x44, None)
    assert asked == [256]
    pstat.on_tm = lambda bits: (0xA3, "busy")
    assert post(device, PATH, {"tm": 64, "om": 5}) == (0xA3, "busy") and pstat.om == 4


def test_a_guard_keeps_states_closed():
    device, pstat = rig(RFOTM)
    pstat.guard = lambda state: "there is no owner"
    assert post(device, PATH, {"dos": {"s": 2}}) == (0x80, "there is no owner")
    assert pstat.state == RFOTM


async def test_no_guard_keeps_from_reset():
    device, pstat = rig(RFOTM)
    pstat.guard = lambda state: "there is no owner"
    assert post(device, PATH, {"dos": {"s": 0}})[0] == 0x44 and pstat.state == RESET
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pstat.state == RFOTM


def test_states_survive_a_restart():
    store = MemoryStore()
    device, pstat = rig(RFOTM, store)
    post(device, PATH, {"rowneruuid": OWNER})
    post(device, PATH, {"dos": {"s": 2}})
    again = Pstat(store)
    assert (again.state, again.rowneruuid) == (RFPRO, OWNER)


def test_damaged_records_are_as_none():
    for data in (b"", b"\xff", b"\x01", b"\xa1\x61s\x09", b"\xa3\x61s\x03bom\x04frownera1"):
        store = MemoryStore()
        store.records["pstat"] = data
        assert Pstat(store).state == RFOTM


def test_reset_is_heard_in_order():
    device, pstat = rig()
    heard = []
    pstat.on_state = heard.append
    pstat.reset()
    assert heard == [RESET, RFOTM] and pstat.rowneruuid == NIL and pstat.om == 3


def test_a_reset_that_the_power_cut_is_to_be_done_again():
    class PowerCut(Exception):
        pass

    def cut(state):
        raise PowerCut

    device, pstat = rig()
    pstat.on_state = cut
    with raises(PowerCut):
        pstat.reset()
    again = Pstat(device.store)
    assert again.unfinished and again.state == RFOTM
    heard = []
    again.on_state = heard.append
    again.reset()
    assert heard == [RESET, RFOTM] and not again.unfinished
    assert not Pstat(device.store).unfinished


async def test_a_reset_that_was_answered_survives_the_power():
    device, pstat = rig()
    assert post(device, PATH, {"dos": {"s": 0}}) == (0x44, None)
    assert Pstat(device.store).unfinished  # before any hook has run
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not Pstat(device.store).unfinished


async def test_a_reset_that_fails_under_way_is_begun_again():
    """Otherwise nothing would be served until the power goes."""
    device, pstat = rig()
    failures = [MemoryError("no room")]
    heard = []

    def entered(state):
        heard.append(state)
        if failures:
            raise failures.pop(0)

    pstat.on_state = entered
    pstat.begin_reset()
    for _ in range(600):
        if pstat.state == RFOTM:
            break
        assert pstat.pending and pstat.state == RESET
        await asyncio.sleep(0.01)
    assert heard == [RESET, RESET, RFOTM] and not pstat.pending


async def test_observers_hear_reset_and_what_follows():
    device, pstat = rig()
    ears = Ears()
    device.coap.append(ears)
    seen = []
    ears.notify = lambda key: seen.append((key, pstat.state, pstat.pending)) if key == PATH else None
    post(device, PATH, {"dos": {"s": 0}})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [(PATH, RESET, True), (PATH, RFOTM, False)]


def test_what_cannot_be_stored_is_not_done():
    asked = []
    for state, body in (
        (RFNOP, {"dos": {"s": 2}}),
        (RFNOP, {"dos": {"s": 0}}),
        (RFNOP, {"om": 5, "tm": 64}),
        (RFOTM, {"rowneruuid": OWNER}),
    ):
        device, pstat = rig(state)
        pstat.on_tm = asked.append
        before = pstat.get()
        device.store.broken = True
        code, text = post(device, PATH, body)
        assert code == 0xA0 and "stored" in text, body
        assert pstat.get() == before and not asked


def test_a_refused_target_mode_takes_the_rest_back():
    device, pstat = rig()
    pstat.on_tm = lambda bits: (0xA3, "busy")
    assert post(device, PATH, {"om": 5}) == (0x44, None)
    before = pstat.get()
    assert post(device, PATH, {"dos": {"s": 4}, "om": 6, "tm": 64}) == (0xA3, "busy")
    assert pstat.get() == before
    again = Pstat(device.store)
    assert (again.state, again.om) == (RFNOP, 5)


def test_uuids():
    assert is_uuid(OWNER) and is_uuid(NIL)
    for text in ("", OWNER[:-1], OWNER + "0", OWNER.replace("-", "0"), "g" + OWNER[1:], None, 5):
        assert not is_uuid(text)
