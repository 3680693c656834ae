"""Updates over CoAP secured by DTLS, from `fargo serve`: by a key that the owner has written, and by certificates."""

import json
import os
import subprocess
import sys

import pytest
from certificates import Party
from fargo import secure
from fargo.authority import Authority
from fargo.bundle import ROOT
from fargo.identity import Identity, Known
from fargo.serve import Server
from sim.owned_rig import CRED, certificate, certify, partition, provisioning, shared_key, write
from sim.rig import IDLE, ISVV, SWU, UPGRADE

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")


class Serve:
    """The command `fargo serve`, on ports of the system's choice; `url(name)` of a file."""

    def __init__(self, folder, identity, authority):
        paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT / "tools")))
        command = [sys.executable, "-c", "from fargo.cli import main; raise SystemExit(main())", "serve", str(folder)]
        command += [
            "--json",
            "--port",
            "0",
            "--coaps-port",
            "0",
            "--identity",
            str(identity),
            "--authority",
            str(authority),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}, text=True
        )

    def __enter__(self):
        self.base = json.loads(self.process.stdout.readline())["coaps"]
        return self

    def __exit__(self, *_exc):
        self.process.terminate()
        self.process.wait(30)

    def url(self, name):
        return self.base.rstrip("/") + "/" + name


@pytest.fixture
def rig(make):
    """A board that was provisioned without any authority: whom it believes is the owner's choice."""
    rig = make(manufacturer={"authorities": []}, settings={"read_s": 15})  # certificates take their time
    rig.stage.release("1.1.0", 2)
    return rig


def slots(rig):
    return {name: partition(rig, name) for name in ("ota_0", "ota_1", "app_0", "app_1", "otadata")}


async def fails(rig, client, url, words):
    """The fetch ends with result 4 and says why, and nothing was written."""
    before = slots(rig)
    swu = await client.run(url, ISVV)
    assert (swu["swupdateresult"], swu["swupdatestate"], swu["swupdateaction"], swu["nv"]) == (4, "idle", IDLE, "")
    reason = await client.reason()
    assert words in reason, reason
    assert slots(rig) == before


async def test_by_a_key_that_the_owner_gave_to_both(rig, tmp_path):
    """0xC037 or 0xC0A8. A server that the device does not know, or that has another key, is not fetched from."""
    stage = rig.stage
    (device,) = stage.identity.devices
    servers = [Identity(tmp_path / name) for name in ("server.json", "stranger.json", "wrong.json")]
    server, stranger, wrong = servers
    server.remember(Known(device, KEY, method="shared"))
    stranger.remember(Known(device, KEY, method="shared"))
    wrong.remember(Known(device, bytes(16), method="shared"))
    authority = tmp_path / "authority"
    async with rig.client() as client:
        async with provisioning(client):
            await write(client, CRED, "creds", shared_key(server.uuid, KEY), shared_key(wrong.uuid, KEY))
        for identity, words in ((stranger, "shares no key with it"), (wrong, "the keys of both sides differ")):
            with Serve(stage.releases, identity.path, authority) as serve:
                await fails(rig, client, serve.url("fargo-1.1.0.suit"), words)
        with Serve(stage.releases, server.path, authority) as serve:
            seen = await client.observe(SWU)
            await client.update(serve.url("fargo-1.1.0.suit"), UPGRADE, "now")
            await seen.until(lambda v: v["swupdatestate"] == "upgrading")
            await client.until(lambda v: v["swupdateresult"] == 1)
            assert seen.distinct("swupdatestate") == ["idle", "svv", "sva", "upgrading"]
        assert await client.version() == "1.1.0" and stage.server.total().requests == 0


async def test_by_certificates(rig, tmp_path, monkeypatch):
    """The server's for its name, by an authority that the owner wrote; the device shows its own identity certificate."""
    stage = rig.stage
    shown = []
    trust = secure.ServerCredentials.trust

    async def seen(self, chain):
        shown.append(chain)
        return await trust(self, chain)

    monkeypatch.setattr(secure.ServerCredentials, "trust", seen)
    household = Party("Household", ca=True)
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")

    def serve(by, name):
        return Server(stage.releases, by, "0.0.0.0", https_port=None, names=[name])

    async with rig.client() as client:
        async with provisioning(client):
            device = await certify(client, household)
        with serve(authority, "127.0.0.1") as server:  # nobody has said yet that it is to be believed
            await fails(rig, client, server.coaps_url("fargo-1.1.0.suit"), "issuer is not trusted")
        async with provisioning(client):
            pem = (authority.folder / "ca.pem").read_text()
            await write(client, CRED, "creds", certificate("trustca", "*", pem))
        with serve(other, "127.0.0.1") as server:  # an authority of the same name
            await fails(rig, client, server.coaps_url("fargo-1.1.0.suit"), "wrong signature")
        with serve(authority, "releases.example") as server:
            await fails(rig, client, server.coaps_url("fargo-1.1.0.suit", "127.0.0.1"), "it is for another server")
        assert shown == []
        with serve(authority, "127.0.0.1") as server:
            await client.update(server.coaps_url("fargo-1.1.0.suit"), UPGRADE, "now")
            await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.1.0" and stage.server.total().requests == 0
    assert shown == [[device.der]] * 2  # for envelope and payload together, and in the trial
