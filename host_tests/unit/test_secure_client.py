"""A Client over DTLS whose device restarts, loses datagrams, or has become another."""

import asyncio

import pytest
from fargo import client, onboard
from fargo.console import CONNECTION, Failure
from fargo.follow import Quiet, Watch
from fargo.identity import Identity, Known
from owned_device import Board

pytestmark = pytest.mark.alone

GET, POST = 1, 2


class Owned:
    """A board and its owner's client: `async with Owned(tmp_path) as (board, mine)`."""

    def __init__(self, path):
        self.identity = Identity(path / "identity.json")

    async def __aenter__(self):
        self.board = await Board().__aenter__()
        onboarding = await onboard.begin(self.board.address, self.identity, timeout=3.0)
        await onboarding.own("just-works")
        await onboarding.network.close()
        self.client = await client.connect(self.board.address, self.identity, timeout=4.0)
        return self.board, self.client

    async def __aexit__(self, *_exc):
        await self.client.network.close()
        await self.board.power_off()


async def restart(board):
    await board.power_off()
    board.power_on()


async def until(predicate):
    async with asyncio.timeout(8):
        while not predicate():
            await asyncio.sleep(0.01)


async def test_all_but_discovery_goes_over_dtls(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        board.asked.clear()
        async with await client.connect(board.address, mine.identity, timeout=3.0) as again:
            await again.device()
            await again.read_swu()
            await again.read_pstat()
        assert {path for secured, _, path, _ in board.asked if not secured} == {"/oic/res"}


async def test_a_read_is_repeated_when_the_device_has_restarted(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        assert (await mine.read_swu())["swupdatestate"] == "idle"
        first = mine._session
        await restart(board)
        assert (await mine.read_swu(1.0))["swupdatestate"] == "idle"
        assert mine._session is not first and not first.open


async def test_a_session_that_the_device_closes_is_replaced_at_once(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        await mine.read_swu()
        board.dtls.drop_all()
        await until(lambda: not mine._session.open)
        await asyncio.wait_for(mine.post("/light", {"value": True}), 2)
        assert board.light.value


async def test_who_waits_in_a_closed_session_does_not_wait_for_the_time_to_be_over(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        await mine.read_swu()
        board.asked.clear()
        board.dumb = lambda *_: True
        asking = asyncio.ensure_future(mine.read_swu(20.0))
        await until(lambda: board.asked)
        board.dumb = lambda *_: False
        board.dtls.drop_all()
        await asyncio.wait_for(asking, 5)


async def test_a_write_is_not_repeated(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        await mine.read_swu()
        board.asked.clear()
        board.dumb = lambda secured, code, path: code == POST
        with pytest.raises(Failure, match="no answer") as caught:
            await mine.post("/light", {"value": True}, timeout=0.5)
        assert caught.value.code == CONNECTION
        assert [code for _, code, path, _ in board.asked if path == "/light"] == [POST]


async def test_a_write_after_a_long_silence_finds_out_first(tmp_path, monkeypatch):
    async with Owned(tmp_path) as (board, mine):
        await mine.read_swu()
        monkeypatch.setattr(client, "_DOUBTFUL", -1)
        await restart(board)
        await mine.post("/light", {"value": True}, timeout=2.0)
        assert board.light.value


async def test_many_requests_at_once_make_one_session(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        made = []
        board.security.opened = lambda session: made.append(session) or True
        await asyncio.gather(*[mine.get("/light") for _ in range(6)])
        assert len(made) == 1


async def test_a_watch_sees_a_restart_and_observes_anew(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        listener = Quiet()
        async with Watch(mine, listener) as watch:
            follow = asyncio.ensure_future(watch.until(None, None))
            await until(lambda: "/oc/swu" in board.observed)
            board.swu.purl = "one"
            board.swu.notify()
            await until(lambda: watch.view.swu.get("purl") == "one")
            await restart(board)
            await until(lambda: "/oc/swu" in board.observed)
            board.swu.purl = "two"
            board.swu.notify()
            await until(lambda: watch.view.swu.get("purl") == "two")
            follow.cancel()
        names = [fields["event"] for _, fields in listener.events if fields["event"] in ("lost", "back")]
        assert names == ["lost", "back"]


async def test_a_known_device_is_found_where_it_was_when_discovery_does_not_reach_it(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        identity = Identity(mine.identity.path)
        for name in (mine.uuid, mine.uuid.upper(), "lamp"):
            async with await client.connect(name, identity, "127.0.0.1", 2.0, wait=0.1) as again:
                assert again.address == board.address
        identity.met(mine.uuid, "127.0.0.1:1")
        with pytest.raises(Failure):
            await client.connect("lamp", identity, "127.0.0.1", 0.2, wait=0.1)
        async with await client.connect(board.address, identity):
            pass
        assert Identity(identity.path).devices[mine.uuid].address == board.address
        async with Board() as other:
            identity.met(mine.uuid, other.address)
            with pytest.raises(Failure):
                await client.connect(mine.uuid, identity, "127.0.0.1", 2.0, wait=0.1)


async def test_who_was_granted_the_update_acts_through_its_resource_and_only_watches_pstat(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        other = Identity(tmp_path / "other.json")
        key = onboard.new_key()
        await onboard.grant(mine, other.uuid, ["/oc/swu"], 22, key)
        other.remember(Known(mine.uuid, key, method="shared"))
        async with await client.connect(board.address, other, timeout=3.0) as theirs:
            assert (await theirs.read_pstat())["cm"] == 0
            with pytest.raises(Failure, match="not authorized"):
                await theirs.post("/oic/sec/pstat", {"dos": {"s": 0}})
            await theirs.post_swu("https://x/y", "idle", "now")
            await theirs.act(256, "isac")
        assert board.asked[-1] == (
            True, POST, "/oc/swu", {"purl": "https://x/y", "swupdateaction": "isac", "updatetime": "now"},
        )  # fmt: skip
        assert board.security.owned


async def test_a_wrong_key_is_said_in_words(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        known = mine.identity.devices[mine.uuid]
        other = Identity(tmp_path / "other.json")
        other.remember(Known(known.uuid, bytes(16)))
        async with await client.connect(board.address, other, timeout=2.0) as theirs:
            with pytest.raises(Failure, match="no secured connection .*it does not know this identity"):
                await theirs.read_swu()
        other.uuid = mine.identity.uuid
        async with await client.connect(board.address, other, timeout=2.0) as theirs:
            with pytest.raises(Failure, match="no secured connection .*keys of both sides differ"):
                await theirs.read_swu()


async def test_nobody_there_any_more_is_a_connection_failure(tmp_path):
    async with Owned(tmp_path) as (board, mine):
        await mine.read_swu()
        await board.power_off()
        with pytest.raises(Failure, match="no answer") as caught:
            await mine.read_swu(0.6)
        assert caught.value.code == CONNECTION
        board.power_on()
