"""Keys are rotated and revoked in the field, by a signed release of the trust store, with a foreign Client."""

import asyncio
import itertools
import json
import re

import aiocoap
from cryptography.hazmat.primitives.asymmetric import ec
from fargo.cli import main
from fargo.flash import table
from fargo.identity import Identity
from sim.owned_rig import stored, unowned
from sim.rig import CM, IDLE, ISAC, ISVV, PSTAT, STATUS, SWU, UPGRADE, WAIT

REVOKED = "it names a key that was revoked"
IN_FORCE = "trust store %d is in force"
_sequence = itertools.count(2)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def release(rig, *signers, sequence=None):
    """A release of its own number, signed by `signers`: its URL."""
    number = sequence or next(_sequence)
    rig.stage.release(f"1.{number}.0", number, signers=list(signers), change={"extra.txt": f"{number}"})
    return rig.stage.url(f"1.{number}.0")


async def rotate(rig, client, number, trusted, signers, **more):
    """Have the device take a trust store: /oc/swu afterwards, which says that it did."""
    rig.stage.rotate(number, trusted, signers, **more)
    swu = await client.run(rig.stage.url(f"trust-{number}"), UPGRADE)
    assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("idle", 1, ""), await client.reason()
    assert await client.reason() == IN_FORCE % number
    return swu


async def taken(client, url):
    """What is at `url` is offered."""
    swu = await client.run(url, ISAC)
    assert (swu["swupdatestate"], swu["swupdateresult"]) == ("nsa", 0), await client.reason()


async def refused(client, url, words, action=ISAC):
    """What is at `url` is refused, for this reason."""
    swu = await client.run(url, action)
    assert swu["swupdateresult"] == 5 and words in await client.reason(), await client.reason()


async def installed(client, url, version):
    """What is at `url` runs in the end, and is kept."""
    assert (await client.update(url, UPGRADE, "now")).code == aiocoap.CHANGED
    await client.until(lambda v: v["swupdateresult"] == 1)
    await client.until(lambda v: v["running"] == version and v["confirmed"], path=STATUS)


async def test_a_key_takes_the_place_of_another(fresh):
    """Step by step: every state of Table 3, no restart, and then the new key's releases only."""
    rig, (old, other, _) = fresh, fresh.stage.keys
    new = new_key()
    by_old = release(rig, old)
    rig.stage.rotate(1, [new], [old, new])
    url = rig.stage.url("trust-1")
    async with rig.client() as client:
        before = await client.get(SWU)
        seen, modes = await client.observe(SWU), await client.observe(PSTAT)
        swu = await client.run(url, ISAC)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("nsa", 0, "trust store 1")
        swu = await client.run(url, ISVV)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "trust store 1")
        await taken(client, by_old)  # not in force before it was asked for
        assert (await client.run(url, ISVV))["swupdatestate"] == "sva"
        assert (await client.tm(128)).code == aiocoap.CHANGED
        await modes.until(lambda v: v["cm"] == CM["upgrading"])
        swu = await client.settled()
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("idle", 1, "")
        assert (await client.get(PSTAT))["tm"] == 0 and (await client.get(PSTAT))["cm"] == 0
        assert swu["lastupdate"] > before["lastupdate"] and swu["purl"] == url
        assert await client.reason() == IN_FORCE % 1
        await seen.until(lambda v: v["swupdateresult"] == 1)
        validated = ["nsa", "svv", "sva"]
        assert seen.distinct("swupdatestate") == ["idle", *validated, *validated, "upgrading", "idle"]
        assert await client.version() == "1.0.0" and (await client.get(STATUS))["slot"] == "ota_0"
        # The same again is nothing new.
        assert (await client.run(url, ISAC))["swupdatestate"] == "idle" and await client.reason() == "up to date"
        await refused(client, by_old, REVOKED)
        await refused(client, release(rig, other), REVOKED, UPGRADE)
        await refused(client, release(rig, old, other), REVOKED, ISVV)
        await refused(client, release(rig, new_key()), "0 valid signature(s) of trusted keys, 1 needed")
        number = next(_sequence)
        await installed(client, release(rig, new, sequence=number), f"1.{number}.0")
        assert rig.board.resets == ["power", "reset"]
        await refused(client, by_old, REVOKED)


async def test_one_of_two_of_three_keys_is_stolen(make):
    """The thief's signature is not enough; then his key is revoked, and is not worth another's either."""
    rig = make(threshold=2)
    stolen, second, third = rig.stage.keys
    new = new_key()
    async with rig.client() as client:
        for alone in (release(rig, stolen), release(rig, stolen, new_key())):
            await refused(client, alone, "1 valid signature(s) of trusted keys, 2 needed", UPGRADE)
        # Nor does it make a trust store, of his own choice or of another's.
        rig.stage.rotate(1, [stolen, new], [stolen, new], threshold=2)
        await refused(client, rig.stage.url("trust-1"), "1 valid signature(s) of trusted keys, 2 needed", UPGRADE)
        # Those who are left must agree, and so must the new ones.
        rig.stage.rotate(1, [second, third, new], [third, new], threshold=2)
        await refused(client, rig.stage.url("trust-1"), "1 valid signature(s) of trusted keys, 2 needed", UPGRADE)
        rig.stage.rotate(1, [third, new], [second, third], threshold=2)
        words = "1 valid signature(s) of the new trust store's keys, 2 needed"
        await refused(client, rig.stage.url("trust-1"), words, UPGRADE)
        await taken(client, release(rig, stolen, second))
        await rotate(rig, client, 1, [second, third, new], [second, third], threshold=2)
        for mixed in (
            release(rig, stolen, second),
            release(rig, third, stolen),
        ):  # re-signed by a key that was revoked
            await refused(client, mixed, "1 valid signature(s) of trusted keys, 2 needed; " + REVOKED, UPGRADE)
        # And the thief cannot go back to the old trust store, or to one of his own.
        rig.stage.rotate(2, [stolen, second], [stolen, second], threshold=2)
        await refused(client, rig.stage.url("trust-2"), REVOKED, UPGRADE)
        number = next(_sequence)
        await installed(client, release(rig, third, new, sequence=number), f"1.{number}.0")


def test_the_operators_command(make, capsys):
    """`fargo device update` to its last line; then an update of the app with the new key ends as ever."""
    rig = make()
    old, new = rig.stage.keys[0], new_key()
    rig.stage.rotate(1, [new], [old, new])

    def command(verb, *more):
        options = "--device", rig.stage.address, "--identity", str(rig.stage.home / "identity.json")
        code = main(["device", verb, *options, *more])
        return code, capsys.readouterr()

    code, said = command("update", "--url", rig.stage.url("trust-1"))
    first, last = said.out.splitlines()[-2:]
    assert code == 0 and first == "trust store 1 is in force", said
    assert re.fullmatch(r"1\.0\.0 runs on, \d+ bytes, \d+\.\d s, \d+\.\d KB/s", last), last
    code, said = command("check", "--json")
    assert code == 0 and json.loads(said.out)["text"].startswith("nothing newer than 1.0.0")
    code, said = command("update", "--url", release(rig, old))
    assert code == 3 and REVOKED in said.err and said.err.strip().count("\n") <= 1, said.err
    number = next(_sequence)
    code, said = command("update", "--url", release(rig, new, sequence=number))
    assert code == 0 and said.out.splitlines()[-1].startswith(f"1.0.0 -> 1.{number}.0, ")


async def test_it_is_not_forgotten(make, tmp_path):
    """A loss of power, an update, RESET, and the loss of everything in `data`."""
    rig = make()
    old, new = rig.stage.keys[0], new_key()
    by_old = release(rig, old)
    async with rig.client() as client:
        await rotate(rig, client, 1, [new], [old, new])
        await asyncio.to_thread(rig.power_cycle)
        await refused(client, by_old, REVOKED)
        number = next(_sequence)
        await installed(client, release(rig, new, sequence=number), f"1.{number}.0")
        await refused(client, by_old, REVOKED)
        assert (await client.post(PSTAT, {"dos": {"s": 0}})).code == aiocoap.CHANGED
        await unowned(rig)
    rig.stage.identity = Identity(tmp_path / "another.json")
    await rig.stage.own()
    async with rig.client() as client:
        await refused(client, by_old, REVOKED)
        await taken(client, release(rig, new))
    rig.board.power_off()
    before = stored(rig)["/trust"]
    wipe(rig, "data")
    rig.stage.identity = Identity(tmp_path / "third.json")
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await refused(client, by_old, REVOKED)
        await taken(client, release(rig, new))
    rig.board.power_off()
    assert stored(rig)["/trust"] == before  # made good from the copy
    wipe(rig, "nvs", 100)  # the network's name and key stand before
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await refused(client, by_old, REVOKED)


def wipe(rig, name, keep=0):
    """Damage a partition of a board that is off, but for its first bytes."""
    (row,) = [row for row in table(rig.stage.layout) if row.name == name]
    flash = bytearray(rig.stage.flash.read_bytes())
    flash[row.offset + keep : row.offset + row.size] = b"\xff" * (row.size - keep)
    rig.stage.flash.write_bytes(flash)


async def test_fast_forward_and_the_way_back(make):
    """Stolen: a release with a number so high that none of ours is newer. A trust store begins anew with numbers."""
    rig = make()
    stolen, good, _ = rig.stage.keys
    async with rig.client() as client:
        await installed(client, release(rig, stolen, sequence=900_000), "1.900000.0")
        right = release(rig, good, sequence=51)
        await refused(client, right, "older than what was installed (rollback)", UPGRADE)
        # Alone, revoking the key would leave the device with that number.
        await rotate(rig, client, 1, [good], [good])
        await refused(client, right, "older than what was installed (rollback)", UPGRADE)
        await rotate(rig, client, 2, [good], [good], floor=50)
        assert (await client.get(STATUS))["seq"] == 900_000  # it runs still, and counts no more
        await taken(client, right)
        await refused(client, release(rig, good, sequence=49), "rollback", UPGRADE)
        await refused(client, release(rig, good, sequence=1_500_000), "too far ahead", UPGRADE)
        for _ in range(2):  # neither does a start raise the floor again
            await asyncio.to_thread(rig.power_cycle)
            await refused(client, release(rig, good, sequence=49), "rollback", UPGRADE)
            await taken(client, right)
        await installed(client, right, "1.51.0")
        await asyncio.to_thread(rig.power_cycle)
        # From now on numbers count as ever, also for a trust store that says nothing of them.
        await rotate(rig, client, 3, [good], [good])
        for number in (50, 49):
            await refused(client, release(rig, good, sequence=number), "rollback", UPGRADE)
        await installed(client, release(rig, good, sequence=52), "1.52.0")
        await refused(client, release(rig, good, sequence=51), "rollback", UPGRADE)


async def test_what_is_no_trust_store_for_this_device(fresh):
    """Each with its reason, and nothing changes."""
    rig = fresh
    old, new = rig.stage.keys[0], new_key()
    url = rig.stage.url("trust-1")
    async with rig.client() as client:
        for more, words in (({"vendor": bytes(16)}, "vendor"), ({"class_id": bytes(16)}, "class of device")):
            rig.stage.rotate(1, [new], [old, new], **more)
            await refused(client, url, words, UPGRADE)
        rig.stage.rotate(1, [new], [old])
        await refused(client, url, "0 valid signature(s) of the new trust store's keys, 1 needed", UPGRADE)
        rig.stage.rotate(1, [new], [new])
        await refused(client, url, "0 valid signature(s) of trusted keys, 1 needed", UPGRADE)
        rig.stage.rotate(1001, [new], [old, new])
        await refused(client, rig.stage.url("trust-1001"), "too far ahead", UPGRADE)
        for path in rig.stage.releases.glob("*.trust"):
            path.unlink()
        rig.stage.rotate(1, [new], [old, new])
        (path,) = rig.stage.releases.glob("*.trust")
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes((good[-1] ^ 2,)))
        await refused(client, url, "the trust store is not the one that was signed", UPGRADE)
        path.write_bytes(good + b"x")
        assert (await client.run(url, UPGRADE))["swupdateresult"] == 5
        path.unlink()
        assert (await client.run(url, UPGRADE))["swupdateresult"] == 404
        await taken(client, release(rig, old))
        path.write_bytes(good)
        swu = await client.run(rig.stage.url("trust-1", "coaps"), UPGRADE)
        assert swu["swupdateresult"] == 1, await client.reason()


async def test_power_cut_while_it_is_put_in_force(make):
    """At every other flash operation, half of them torn: the old trust store is in force or the new one, and the device
    goes on by itself.
    """
    rig = make()
    board, stage = rig.board, rig.stage
    old, new = stage.keys[0], new_key()
    by_old, by_new = release(rig, old), release(rig, new)
    stage.rotate(1, [new], [old, new])
    async with rig.client() as client:
        assert (await client.run(stage.url("trust-1"), ISVV))["swupdatestate"] == "sva"
    board.power_off()
    ready = stage.flash.read_bytes()

    async def upgrade(cut_at=0):
        """Operations until it was asked for, and in all."""
        stage.flash.write_bytes(ready)
        board.cut_at = cut_at
        await asyncio.to_thread(rig.start)
        async with rig.client() as client:
            before = 0 if cut_at else await rig.operations()
            asking = asyncio.ensure_future(client.tm(128))
            if cut_at:  # it may come before the answer
                await asyncio.to_thread(board.wait_off, WAIT)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                return 0, 0
            await asking
            await client.settled()
            return before, await rig.operations()

    before, after = await upgrade()
    board.power_off()
    ends = set()
    for cut in range(before + 1, after + 1, 2):
        board.torn = "half" if (cut - before) % 4 == 1 else False
        await upgrade(cut)
        board.cut_at = 0
        await asyncio.to_thread(rig.starts, board.power_on)
        async with rig.client() as client:
            swu = await client.settled()
            ends.add((swu["swupdatestate"], swu["swupdateresult"]))
            if swu["swupdatestate"] == "sva":
                await client.tm(128)
                swu = await client.settled()
            assert (swu["swupdatestate"], swu["swupdateresult"], swu["swupdateaction"]) == ("idle", 1, IDLE), cut
            await refused(client, by_old, REVOKED)
            await taken(client, by_new)
        board.power_off()
    assert ends == {("sva", 0), ("idle", 1)}
