"""What belongs to an owner, on the whole device: it survives every way that an update can go, and nothing of it a RESET."""

import asyncio

import aiocoap
import pytest
from certificates import Party
from fargo.identity import Identity
from sim.owned_rig import (
    ACL,
    CRASHING,
    CRED,
    DOXM,
    NIL,
    NOTES,
    SDI,
    Certified,
    Clear,
    certify,
    provisioning,
    refused,
    rights,
    shared_key,
    stored,
    unowned,
    write,
)
from sim.rig import IDLE, PSTAT, STATUS, SWU, UPGRADE, WAIT, Foreign

FRIEND, MEMBER = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"
KEY = bytes.fromhex("8f1e2d3c4b5a69788796a5b4c3d2e1f0")


@pytest.fixture
def noting(make, tmp_path):
    """Makes boards whose app keeps a note."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(NOTES)
    return lambda **options: make(app=app, **options)


class Household:
    """A board with an owner, a friend who has a key, and a member who has a certificate."""

    def __init__(self, rig):
        self.rig = rig
        self.authority = Party("Household", ca=True)
        self.member = Party("uuid:" + MEMBER, self.authority)
        self.owner = rig.stage.identity.uuid

    async def move_in(self):
        """All that an owner can leave on a device."""
        async with self.rig.client() as client:
            async with provisioning(client):
                self.device = await certify(client, self.authority)
                await write(client, CRED, "creds", shared_key(FRIEND, KEY))
                await write(client, ACL, "aclist2", rights(FRIEND, 6, "/note"), rights(MEMBER, 2, "/note"))
                await write(client, ACL, "aclist2", rights(self.owner, 6, "/oic/sec/sdi"))
                assert (await client.post(SDI, {"name": "household"})).code == aiocoap.CHANGED
            assert (await client.post("oc/con", {"n": "cellar"})).code == aiocoap.CHANGED
            assert (await client.post("note", {"text": "who was here"})).code == aiocoap.CHANGED

    def friend(self):
        return Foreign(self.rig.stage.address, FRIEND, KEY, self.rig._starts)

    async def look(self, client):
        """What there is of it, as the owner, the friend and the member see it."""
        found = {path: await client.get(path) for path in (DOXM, CRED, ACL, SDI, "oc/con", "note", "oic/d", "oic/p")}
        found["state"] = [(await client.get(PSTAT))[name] for name in ("dos", "om", "rowneruuid")]
        found["oic/d"].pop("sv")
        found["oic/p"].pop("mnfv")
        async with self.friend() as friend, Certified(self.rig, self.member, self.authority) as member:
            for name, other in (("friend", friend), ("member", member)):
                note, swu = [await other.ask(aiocoap.GET, path, timeout=WAIT) for path in ("note", SWU)]
                found[name] = str(note.code), note.payload, str(swu.code)
        return found


async def test_all_of_it_survives_an_update_a_rollback_and_a_power_cut_in_the_trial(noting):
    """Firmware and app are new, then a release crashes, then the power fails while another is on trial."""
    rig = noting()
    stage = rig.stage
    house = Household(rig)
    await house.move_in()
    stage.release("1.1.0", 2, firmware=True)
    stage.release("1.2.0", 3, change={"app.py": CRASHING})
    stage.release("1.3.0", 4, firmware=True, change={"extra.txt": "power"})
    async with rig.client() as client:
        before = await house.look(client)
        assert before["friend"][::2] == before["member"][::2] == ("2.05 Content", "4.01 Unauthorized")
        assert before["note"] == {"text": "who was here"} and before["oic/d"]["n"] == "cellar"
        assert len(before[CRED]["creds"]) == 4
        for version, ends, result in (("1.1.0", "1.1.0", 1), ("1.2.0", "1.1.0", 8), ("1.3.0", "1.3.0", 1)):
            at = len(rig.board.lines)
            assert (await client.update(stage.url(version), UPGRADE, "now")).code == aiocoap.CHANGED
            if version == "1.3.0":
                await rig.log("1.3.0 is on trial", at)
                await asyncio.to_thread(rig.power_cycle)
            await client.until(lambda v, result=result: v["swupdateresult"] == result and v["swupdateaction"] == IDLE)
            assert await client.version() == ends
            assert await house.look(client) == before, version


def nothing_is_left(rig, house, *keys):
    """In the data partition of a board that is off: no file of the owner's, and none that names it or holds its keys."""
    secrets = [*keys, KEY, house.device.der, house.authority.der, b"cellar", b"who was here", b"household"]
    for uuid in (house.owner, FRIEND, MEMBER):
        secrets += [bytes.fromhex(uuid.replace("-", "")), uuid.encode()]
    files = stored(rig)
    assert "/doxm" in files and "/pstat" in files
    assert not {"/cred", "/acl2", "/sdi", "/key", "/name", "/app/note"} & set(files), set(files)
    assert not [path for path, data in files.items() for secret in secrets if secret in data]


async def test_a_reset_leaves_nothing(noting, tmp_path):
    """Everything is wiped, what runs is aborted, the identity is another, and anybody may own it again.

    By pstat, over DTLS; then once more by the maintenance Resource.
    """
    rig = noting()
    stage = rig.stage
    house = Household(rig)
    (known,) = stage.identity.devices.values()
    await house.move_in()
    stage.release("1.1.0", 2)
    stage.server.delay = 0.05
    former = rig.client()
    async with rig.client() as client, Clear(rig) as clear:
        device, doxm = await client.get("oic/d"), await client.get(DOXM)
        await client.update(stage.url("1.1.0"), UPGRADE, "now")
        await client.until(lambda v: v["done"] > 10_000, path=STATUS)
        assert (await client.post(PSTAT, {"dos": {"s": 0}})).code == aiocoap.CHANGED
        fresh, pstat = await unowned(rig)
        stage.server.delay = 0
        served = stage.server.total().bytes
        assert (fresh["owned"], fresh["oxmsel"]) == (False, 4)
        assert fresh["devowneruuid"] == fresh["rowneruuid"] == pstat["rowneruuid"] == NIL
        assert fresh["deviceuuid"] != doxm["deviceuuid"]
        assert (pstat["isop"], pstat["cm"], pstat["tm"]) == (False, 2, 0)
        about = await clear.get("oic/d")
        assert (about["di"], about["piid"]) == (fresh["deviceuuid"], device["piid"])
        assert (about["n"], about["sv"]) == ("Fargo demo", "1.0.0")
        assert await clear.code(aiocoap.GET, SWU) == "4.01"
    async with former:
        with pytest.raises((TimeoutError, aiocoap.error.Error)):  # without a transfer method nobody is answered
            await former.ask(aiocoap.GET, SWU, timeout=2)
    assert stage.server.total().bytes - served < 8000 and rig.board.resets == ["power"]  # the transfer was aborted
    # Another one comes.
    stage.identity = Identity(tmp_path / "another.json")
    await stage.own()
    async with rig.client() as client:
        assert (await client.get(DOXM))["devowneruuid"] == stage.identity.uuid
        assert [cred["subjectuuid"] for cred in (await client.get(CRED))["creds"]] == [stage.identity.uuid]
        subjects = [ace["subject"] for ace in (await client.get(ACL))["aclist2"]]
        assert all(subject in ({"uuid": stage.identity.uuid}, {"conntype": "anon-clear"}) for subject in subjects)
        swu = await client.get(SWU)
        assert (swu["purl"], swu["swupdateaction"], swu["swupdatestate"], swu["swupdateresult"]) == (
            "",
            IDLE,
            "idle",
            0,
        )
        assert (await client.get("note"), await client.get("oc/con")) == ({"text": ""}, {"n": ""})
        former = Foreign(stage.address, house.owner, known.key)
        for stranger in (former, house.friend(), Certified(rig, house.member, house.authority)):
            await refused(stranger)
        assert (await client.post("note", {"text": "who was here"})).code == aiocoap.CHANGED
        (another,) = stage.identity.devices.values()
        assert (await client.post("oic/mnt", {"fr": True})).code == aiocoap.CHANGED
        last, _ = await unowned(rig)
        assert not last["owned"] and last["deviceuuid"] not in (fresh["deviceuuid"], another.uuid)
    rig.board.power_off()
    nothing_is_left(rig, house, known.key, another.key, stage.identity.raw, stage.identity.uuid.encode())


async def test_a_power_cut_in_a_reset_is_made_good_at_the_next_start(noting):
    """Wherever the power fails after the Client was answered, and half-way through it: in the end nothing is left."""
    rig = noting()
    board, stage = rig.board, rig.stage
    house = Household(rig)
    (known,) = stage.identity.devices.values()
    await house.move_in()
    await asyncio.to_thread(rig.power_cycle)  # what a start has to write once is written
    board.power_off()
    owned = stage.flash.read_bytes()

    async def reset(cut_at=0):
        """Reset the owned board; the flash operations until then, and in all."""
        stage.flash.write_bytes(owned)
        board.cut_at = cut_at
        await asyncio.to_thread(rig.start)
        async with rig.client() as client:
            await client.get("note")
            before = 0 if cut_at else await rig.operations()
            reply = await client.post(PSTAT, {"dos": {"s": 0}})
            assert reply.code == aiocoap.CHANGED
            if cut_at:
                await asyncio.to_thread(board.wait_off, WAIT)
            else:
                await unowned(rig)
        return before, 0 if cut_at else await rig.operations()

    before, after = await reset()
    board.power_off()
    first = before + 2  # RESET is recorded before the answer
    assert after - first > 8, (before, after)
    for part in (0.25, 0.5, 0.75):
        board.torn = part == 0.5
        await reset(first + int(part * (after - first)))
        board.cut_at = 0
        await asyncio.to_thread(rig.starts, board.power_on)
        doxm, _ = await unowned(rig)
        assert not doxm["owned"] and doxm["deviceuuid"] != known.uuid
        board.power_off()
        nothing_is_left(rig, house, known.key)
