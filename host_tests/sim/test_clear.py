"""What the whole device answers in the clear, in every state of onboarding: what OCF demands, and nothing else."""

import asyncio

import aiocoap
from fargo import secure
from fargo.network import Network
from port.sockets import address
from sim.owned_rig import ACL, DOXM, RFNOP, RFOTM, RFPRO, Clear, write
from sim.rig import PSTAT, UPGRADE

CORE = {"/oic/res", "/oic/d", "/oic/p"}
ALL = CORE | {
    "/oic/sec/doxm", "/oic/sec/pstat", "/oic/sec/cred", "/oic/sec/acl2", "/oic/sec/sp", "/oic/sec/csr", "/oic/sec/roles",
    "/oic/sec/sdi", "/oic/mnt", "/oc/con", "/oc/swu", "/oc/wk/introspection", "/fargo/update", "/lamp",
}  # fmt: skip
HIDDEN = {"/oc/introspection"}
BODIES = {"/oic/sec/doxm": {"oxmsel": 0}, "/oc/con": {"n": "x"}, "/lamp": {"value": True}, "/oic/mnt": {"fr": True}}


async def answers(clear):
    """What is not 4.01: {"GET /oic/d": "2.05", ...}"""
    found = {}
    hrefs = sorted(ALL | HIDDEN)
    for method in (aiocoap.GET, aiocoap.POST, aiocoap.DELETE):
        bodies = [BODIES.get(href, {}) if method == aiocoap.POST else None for href in hrefs]
        asking = [clear.code(method, href[1:], body) for href, body in zip(hrefs, bodies, strict=True)]
        codes = zip(hrefs, await asyncio.gather(*asking), strict=True)
        found.update({f"{method} {href}": code for href, code in codes if code != "4.01"})
    return found


async def test_in_the_clear_there_is_only_what_ocf_demands(make):
    """Every Resource by GET, POST and DELETE: with an owner, while it provisions, without one, and while one comes."""
    rig = make()
    core = {f"GET {href}": "2.05" for href in CORE}
    async with rig.client() as client, Clear(rig) as clear:
        assert {link["href"] for link in await client.get("oic/res")} == ALL
        assert (await client.get(PSTAT))["dos"]["s"] == RFNOP
        assert await answers(clear) == core  # as the owner's entry for everybody allows
        assert (await client.post(PSTAT, {"dos": {"s": RFPRO}})).code == aiocoap.CHANGED
        assert await answers(clear) == core
        assert (await client.tm(128)).code == aiocoap.FORBIDDEN  # actions start in RFNOP only (A22)
        assert (await client.update("https://h/x", UPGRADE, "now")).code == aiocoap.FORBIDDEN
        # An owner who gives everybody everything opens nothing that is not reached in the clear.
        hrefs = [{"wc": "*"}, *({"href": href} for href in sorted((ALL | HIDDEN) - CORE)[:15])]
        entry = {"subject": {"conntype": "anon-clear"}, "resources": hrefs, "permission": 31}
        await write(client, ACL, "aclist2", entry)
        assert await answers(clear) == core
        assert (await client.post(PSTAT, {"dos": {"s": RFNOP}})).code == aiocoap.CHANGED
        assert await answers(clear) == core
        assert (await client.get(DOXM))["owned"] is True
        assert (await client.post(PSTAT, {"dos": {"s": 0}})).code == aiocoap.CHANGED
        await clear.until(lambda v: v["dos"] == {"s": RFOTM, "p": False}, path=PSTAT)
        onboarding = {"GET /oic/sec/doxm": "2.05", "POST /oic/sec/doxm": "2.04", "GET /oic/sec/pstat": "2.05"}
        assert await answers(clear) == core | onboarding
        # Just Works is chosen now: the onboarding connection is opened, and nothing done with it.
        network = Network("127.0.0.1")
        try:
            link = network.link(secure.JustWorks(rig.stage.identity))
            session = await link.connect(address(rig.stage.address, 5684), 20)
            assert await answers(clear) == {}
            link.drop(session)
        finally:
            await network.close()
        await clear.until(lambda v: v["owned"] is False and v["oxmsel"] == 4, path=DOXM)  # it has reset itself
        assert rig.board.resets == ["power"]
