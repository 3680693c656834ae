"""Sessions and credentials over real DTLS: who is dropped, who never gets in, and what the product's node does of it."""

import asyncio
from types import SimpleNamespace

import pytest
from crypto import prf
from fargo import client, onboard, secure
from fargo.console import Failure
from fargo.identity import Identity, Known
from ocf.pstat import RESET, RFNOP, RFOTM, RFPRO, SRESET
from ocf.uuids import raw
from owned_device import LO, Board
from test_onboard import connect, own, until

from firmware.node import Node

POST, DELETE = 2, 4


@pytest.fixture
def identity(tmp_path):
    return Identity(tmp_path / "owner.json")


async def granted(board, identity, other):
    """`board` is owned, and `other` may read its light; the device's UUID."""
    known = await own(board, identity)
    key = onboard.new_key()
    async with await connect(board, identity) as mine:
        await onboard.grant(mine, other.uuid, ["/light"], 2, key)
    other.remember(Known(known.uuid, key, method="shared"))
    return known.uuid


def names(board):
    return {session.uuid for session in board.dtls.sessions.values()}


async def provision(mine, *requests):
    await mine.post(onboard.PSTAT, {"dos": {"s": RFPRO}})
    for path, body in requests:
        await mine.post(path, body)
    await mine.post(onboard.PSTAT, {"dos": {"s": RFNOP}})


async def test_whose_key_is_replaced_is_dropped_and_comes_back_with_the_new_one(identity, tmp_path):
    other = Identity(tmp_path / "other.json")
    async with Board() as board:
        uuid = await granted(board, identity, other)
        async with await connect(board, other) as theirs, await connect(board, identity) as mine:
            assert (await theirs.get("/light"))["value"] is False
            await mine.read_swu()
            assert names(board) == {identity.uuid, other.uuid}
            key = onboard.new_key()
            cred = {
                "credtype": 1,
                "subjectuuid": other.uuid,
                "privatedata": {"encoding": "oic.sec.encoding.raw", "data": key},
            }
            await provision(mine, (onboard.CRED, {"creds": [cred]}))
            await until(lambda: names(board) == {identity.uuid})
            await mine.read_swu()  # the owner's own session goes on
        with pytest.raises(Failure):
            async with await connect(board, other) as theirs:
                await theirs.get("/light")
        other.remember(Known(uuid, key, method="shared"))
        async with await connect(board, other) as theirs:
            assert (await theirs.get("/light"))["value"] is False


async def test_who_is_known_as_before_is_not_disturbed(identity, tmp_path):
    other = Identity(tmp_path / "other.json")
    async with Board() as board:
        await granted(board, identity, other)
        async with await connect(board, other) as theirs, await connect(board, identity) as mine:
            await theirs.get("/light")
            await mine.read_swu()
            before = list(board.dtls.sessions.values())
            looked = []
            drop_all = board.dtls.drop_all
            board.dtls.drop_all = lambda but: looked.append(drop_all(but))
            await onboard.grant(mine, Identity(tmp_path / "third.json").uuid, ["/light"], 2, onboard.new_key())
            await until(lambda: looked)
            assert [s for s in board.dtls.sessions.values() if s.open] == before
            assert (await theirs.get("/light"))["value"] is False


async def test_five_wrong_pins_and_the_right_one_is_of_no_use_either(identity):
    async with Board() as board:
        onboarding = await onboard.begin(board.address, identity, timeout=20.0)
        try:
            await onboarding.select(onboard.METHODS["pin"])
            await until(lambda: board.security.pin_key)
            right = board.pins[0]
            for i in range(5):
                with pytest.raises(Failure):
                    await onboarding.own("pin", "%08d" % ((int(right) + 1 + i) % 100_000_000))
            assert board.security.doc is None
            link = onboarding.network.link(await pin_of(board, identity, right))
            with pytest.raises(OSError, match="."):
                await link.connect((LO, board.ports[1]), 3.0)
            assert board.security.oxmsel == 4 and board.security.suites() == () and len(board.pins) == 1
        finally:
            await onboarding.network.close()
        known = await own_by_new_pin(board, identity)
        assert known.method == "rdp" and len(board.pins) == 2


async def pin_of(board, identity, pin):
    return secure.Pin(identity, await prf.pbkdf2(pin.encode(), raw(board.security.uuid), 1000, 16))


async def own_by_new_pin(board, identity):
    onboarding = await onboard.begin(board.address, identity, timeout=20.0)
    try:
        await onboarding.select(onboard.METHODS["pin"])
        await until(lambda: board.security.pin_key)
        return await onboarding.own("pin", board.pins[-1], None)
    finally:
        await onboarding.network.close()


async def test_just_works_can_be_left_out(identity):
    async with Board(oxms=[1]) as board:
        with pytest.raises(Failure, match="cannot be owned by just-works"):
            await own(board, identity)
        onboarding = await onboard.begin(board.address, identity, timeout=20.0)
        with pytest.raises(Failure, match="none of oxms"):
            await onboarding.select(0)
        await onboarding.network.close()
        assert board.security.suites() == () and not board.security.owned


@pytest.mark.parametrize("state", [RESET, RFOTM, RFPRO, RFNOP, SRESET])
async def test_what_the_node_does_when_the_state_changes(state, tmp_path):
    """The product's own hook: RESET drops all, RFNOP those that the security does not know, after the answer."""
    log, soon = [], []

    async def ask(name):
        log.append(name)

    async def later(function, *args):
        soon.append(lambda: function(*args))

    (tmp_path / "theirs").write_text("of the owner's")
    node = SimpleNamespace(
        security=SimpleNamespace(entered=lambda s: log.append(("entered", s)), knows="knows"),
        ocf=SimpleNamespace(coap=[]), names=SimpleNamespace(store=SimpleNamespace(remove=log.append), n="theirs"),
        data=str(tmp_path), app=SimpleNamespace(ask=ask),
        dtls=SimpleNamespace(drop_all=lambda *but: log.append(("drop", *but))),
        updater=SimpleNamespace(dos_changed=lambda s: log.append(("updater", s))),
        later=later,
        log=lambda level, text: None,
    )  # fmt: skip
    Node._state_changed(node, state)
    done = {RESET: ["name", ("drop",)]}.get(state, [])
    assert log == [("entered", state), *done, ("updater", state)]
    assert (tmp_path / "theirs").exists() == (state != RESET)
    await asyncio.sleep(0)
    assert ("reset" in log) == (node.names.n == "") == (state == RESET)
    assert len(soon) == (state == RFNOP)
    for later in soon:
        later()
        assert log[-1] == ("drop", "knows")


async def test_refused_again_and_again_the_device_stays_ownable(identity):
    """Ownerships that end anywhere, one after the other, and then one that does not."""
    async with Board() as board:
        for path in ("/oic/sec/doxm", "/oic/sec/pstat", "/oic/sec/acl2", "/oic/sec/cred", "/oic/sec/sdi"):
            board.mute = lambda secured, code, asked, path=path: secured and asked == path
            with pytest.raises(Failure):
                await own(board, identity, timeout=0.2)
            await until(
                lambda: board.pstat.state == RFOTM and board.security.doc is None and board.security.oxmsel == 4
            )
            assert not board.security.owned and board.security.creds == board.security.aces == []
        board.mute = lambda *_: False
        async with await connect_owned(board, identity) as mine:
            with pytest.raises(client.Refusal, match="4.01"):
                await mine.get("/oic/sec/doxm", clear=True)


async def connect_owned(board, identity):
    await own(board, identity)
    return await connect(board, identity)
