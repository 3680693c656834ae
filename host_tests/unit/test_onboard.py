"""Ownership: `fargo` and the device's own security Resources over DTLS, on sockets."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from certificates import DAY, NOW, Party
from fargo import client, onboard, secure
from fargo.console import CONNECTION, REFUSED, USAGE, Failure
from fargo.identity import Identity, Known
from owned_device import Board

GET, POST, DELETE = 1, 2, 4
NIL = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def identity(tmp_path):
    return Identity(tmp_path / "identity.json")


async def own(board, identity, method="just-works", pin="", credentials=None, timeout=20.0):
    onboarding = await onboard.begin(board.address, identity, timeout=timeout)
    try:
        return await onboarding.own(method, pin, credentials)
    finally:
        await onboarding.network.close()


def connect(board, identity):
    return client.connect(board.address, identity, timeout=20.0)


async def until(predicate):
    async with asyncio.timeout(40):
        while not predicate():
            await asyncio.sleep(0.01)


async def test_just_works_asks_what_the_reference_asks_in_its_order(identity):
    async with Board() as board:
        known = await own(board, identity)
        asked = [(code, path, body) for secured, code, path, body in board.asked if secured]
        clear = [(code, path, body) for secured, code, path, body in board.asked if not secured]
        assert board.pstat.state == 3
    assert (POST, "/oic/sec/doxm", {"oxmsel": 0}) in clear
    assert {path for code, path, _ in clear if code == POST} == {"/oic/sec/doxm"}
    recorded, (theirs, device, domain) = reference()
    mine = {identity.uuid: theirs, known.uuid: device}
    asked = [(code, path, renamed(body, mine)) for code, path, body in asked]
    entries = asked[11][2]["aclist2"]
    more = entries.pop()  # beyond what the reference writes: what the owner needs to use the device itself
    assert more["subject"] == {"uuid": theirs} and more["permission"] == 31
    assert {"href": "/oc/swu"} in more["resources"] and {"wc": "*"} in more["resources"]
    names = [body for _, path, body in asked if path == "/oic/sec/sdi"]
    assert [set(body) for body in names] == [{"uuid", "name", "priv"}]
    names[0].update({"uuid": domain, "name": "OBT", "priv": False})
    assert asked == recorded


CAPTURE = Path(__file__).parents[1] / "vectors/obt-just-works.txt"


def reference():
    """(method, path, body) of the reference tool's own ownership transfer, and its, the device's and the domain's UUID."""
    found = []
    for part in re.split(r"^ +\d+\.\d+ ", CAPTURE.read_text(), flags=re.MULTILINE):
        method = re.search(r" CON (POST|DELETE) ", part)
        if method and len(found) < 13:
            body = re.search(r"cbor\(\d+\): (.*)", part)
            value = json.loads(body[1].replace("\"h''\"", '""')) if body else None
            found.append(({"POST": POST, "DELETE": DELETE}[method[1]], re.search(r"path=(\S+)", part)[1], value))
    found[6][2]["creds"][0]["privatedata"]["data"] = b""
    return found, (found[1][2]["devowneruuid"], found[2][2]["deviceuuid"], found[7][2]["uuid"])


def renamed(value, names):
    """`value` with some texts replaced by others."""
    if isinstance(value, dict):
        return {k: renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value


async def test_the_owner_uses_the_device_at_once_and_others_do_not(identity, tmp_path):
    async with Board() as board:
        known = await own(board, identity)
        assert Identity(identity.path).devices[known.uuid].key == known.key
        async with await connect(board, identity) as mine:
            assert (await mine.read_swu())["swupdatestate"] == "idle"
            await mine.post("/oc/swu", {"purl": "x"})
            await mine.post("/light", {"value": True})
            assert board.light.value and board.swu.purl == "x"
            for path in ("/oc/swu", "/light", "/oic/sec/cred"):
                with pytest.raises(client.Refusal, match="4.01"):
                    await mine.get(path, clear=True)
        with pytest.raises(Failure, match="has an owner, and it is not this identity") as caught:
            await connect(board, Identity(tmp_path / "stranger.json"))
        assert caught.value.code == REFUSED


async def test_a_device_without_an_owner_says_what_to_do(identity):
    async with Board() as board:
        with pytest.raises(Failure, match="no owner yet") as caught:
            await connect(board, identity)
    assert f"fargo device own --device {board.address}" in caught.value.hint


async def test_owned_twice_is_refused_in_different_words(identity, tmp_path):
    async with Board() as board:
        await own(board, identity)
        with pytest.raises(Failure, match="is yours already"):
            await own(board, identity)
        with pytest.raises(Failure, match="it is not this identity"):
            await own(board, Identity(tmp_path / "stranger.json"))


async def test_a_pin_that_the_device_shows(identity):
    async with Board() as board:
        onboarding = await onboard.begin(board.address, identity, timeout=20.0)
        await onboarding.select(onboard.METHODS["pin"])
        await until(lambda: board.security.pin_key)
        wrong = "%08d" % (int(board.pins[0]) ^ 1)
        with pytest.raises(Failure, match="no secured connection") as caught:
            await onboarding.own("pin", wrong)
        assert "PIN" in caught.value.hint
        assert identity.devices == {}
        known = await onboarding.own("pin", board.pins[0])
        await onboarding.network.close()
        assert len(board.pins) == 1
        assert identity.devices[known.uuid].method == "rdp"
        async with await connect(board, identity) as mine:
            await mine.read_swu()


def pair(leaf, *above):
    number = leaf.key.private_numbers().private_value
    return [leaf.der, *(p.der for p in above)], number.to_bytes(32, "big")


MAKER = Party("Maker", ca=True)


async def test_manufacturer_certificates(identity):
    device, tool = pair(Party("device", MAKER)), pair(Party("tool", MAKER))
    async with Board(mfgcert=device, mfgtrust=[MAKER.der]) as board:
        known = await own(board, identity, "certificate", credentials=_manufacturer(identity, [MAKER], tool))
        assert known.method == "mfgcert"
        async with await connect(board, identity) as mine:
            await mine.read_swu()


def _manufacturer(identity, anchors, own):
    return secure.Manufacturer(identity, [anchor.der for anchor in anchors], own)


async def test_certificates_that_are_not_believed(identity):
    other = Party("Other", ca=True)
    device, tool = pair(Party("device", MAKER)), pair(Party("tool", MAKER))
    async with Board(mfgcert=device, mfgtrust=[MAKER.der]) as board:
        with pytest.raises(Failure, match="refused: its certificate: .*(trust|issuer|anchor)") as caught:
            await own(board, identity, "certificate", credentials=_manufacturer(identity, [other], tool))
        assert caught.value.code == REFUSED
    async with Board(mfgcert=device, mfgtrust=[other.der]) as board:
        with pytest.raises(Failure, match="the device refused: a certificate was refused"):
            await own(board, identity, "certificate", credentials=_manufacturer(identity, [MAKER], tool))
    assert identity.devices == {}


async def test_an_expired_certificate_is_said_to_be(identity):
    device = pair(Party("device", MAKER, begin=NOW - 3 * DAY, end=NOW - 2 * DAY))
    tool = pair(Party("tool", MAKER))
    async with Board(mfgcert=device, mfgtrust=[MAKER.der]) as board:
        with pytest.raises(Failure, match="expired"):
            await own(board, identity, "certificate", credentials=_manufacturer(identity, [MAKER], tool))


async def test_a_method_that_the_device_does_not_have(identity):
    async with Board(pin=None) as board:
        with pytest.raises(Failure, match="cannot be owned by pin") as caught:
            await own(board, identity, "pin", "1")
    assert caught.value.code == USAGE
    assert "just-works" in caught.value.hint


async def test_an_ownership_that_breaks_off_leaves_no_owner_behind(identity):
    async with Board() as board:
        board.mute = lambda secured, code, path: path == "/oic/sec/cred"
        with pytest.raises(Failure, match="was lost while it got its owner") as caught:
            await own(board, identity, timeout=2.0)  # all but that is answered in time
        assert caught.value.code == CONNECTION
        assert identity.devices == {}
        await until(lambda: board.security.devowner == NIL and board.security.doc is None)
        board.mute = lambda *_: False
        assert (await own(board, identity)).owned


async def test_a_refused_step_is_said_and_leaves_nothing(identity):
    async with Board() as board:
        board.security.guard = board.pstat.guard = lambda state: "not today"
        with pytest.raises(Failure, match="refused to be owned .*not today"):
            await own(board, identity)
        assert Identity(identity.path).devices == {}


async def test_grant_lets_another_client_do_just_that(identity, tmp_path):
    other = Identity(tmp_path / "other.json")
    async with Board() as board:
        known = await own(board, identity)
        key = onboard.new_key()
        async with await connect(board, identity) as mine:
            await onboard.grant(mine, other.uuid, ["/oc/swu"], 2, key)
            assert board.pstat.state == 3
        other.remember(Known(known.uuid, key, method="shared"))
        async with await connect(board, other) as theirs:
            await theirs.read_swu()
            with pytest.raises(client.Refusal, match="4.01") as caught:
                await theirs.post("/oc/swu", {"purl": "x"})
            assert "fargo device grant" in caught.value.hint
            for path in ("/light", "/oic/sec/cred", "/oic/sec/acl2"):
                with pytest.raises(client.Refusal, match="4.01"):
                    await theirs.get(path)
            with pytest.raises(client.Refusal):
                await onboard.disown(theirs)
            assert known.uuid in other.devices


async def test_a_refused_grant_brings_the_device_back_to_normal(identity):
    async with Board() as board:
        await own(board, identity)
        async with await connect(board, identity) as mine:
            with pytest.raises(client.Refusal):
                await onboard.grant(mine, "nobody", ["/light"], 2)
        assert board.pstat.state == 3


async def test_disown_resets_the_device_and_forgets_the_key(identity, tmp_path):
    async with Board() as board:
        known = await own(board, identity)
        async with await connect(board, identity) as mine:
            await onboard.disown(mine)
        assert Identity(identity.path).devices == {}
        await until(lambda: board.pstat.state == 1 and board.security.uuid != known.uuid)
        again = await own(board, Identity(tmp_path / "next.json"))
        assert again.uuid != known.uuid


async def test_disown_whose_answer_is_lost_is_done_all_the_same(identity):
    async with Board() as board:
        await own(board, identity)
        async with await connect(board, identity) as mine:
            mine.timeout = 2.0
            board.dumb = lambda secured, code, path: secured and code == POST
            await onboard.disown(mine)
        assert identity.devices == {}


async def test_disown_that_does_not_arrive_keeps_the_key(identity, monkeypatch):
    monkeypatch.setattr(onboard, "_RESET_WAIT", 0.3)
    async with Board() as board:
        known = await own(board, identity)
        async with await connect(board, identity) as mine:
            mine.timeout = 1.5
            board.mute = lambda secured, code, path: secured and code == POST
            with pytest.raises(Failure, match="no answer") as caught:
                await onboard.disown(mine)
        assert caught.value.code == CONNECTION
        assert known.uuid in identity.devices


async def test_a_device_that_was_reset_by_hand_is_recognised(identity):
    async with Board() as board:
        await own(board, identity)
        async with await connect(board, identity) as mine:
            await mine.read_swu()
            board.pstat.reset()
            with pytest.raises(Failure, match="was reset"):
                await mine.read_swu()
