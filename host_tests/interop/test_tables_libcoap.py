"""The Tables once more with another foreign Client: libcoap's coap-client over DTLS and CBOR by hand, to a whole update."""

import cbor2
import pytest
from interop.granted import grant
from interop.libcoap import Follower, Libcoap, without
from sim.rig import PSTAT, SWU

GOOD = {"purl": "https://myvendor/newversion", "swupdateaction": "idle", "updatetime": "2030-01-09T14:30:00Z"}


@pytest.fixture(scope="module")
def psk(rig):
    rights = {31: ("/oc/swu", "/oic/sec/pstat")}  # what DELETE answers is asked too
    return grant(rig, "3e5d1a90-77c4-4b1e-a2f8-6d90c5b4e712", rights, printable=True)


@pytest.fixture
def libcoap(rig, psk, tmp_path):
    """With the suite 0xC0A8: test_libcoap_dtls.py has the other."""
    return Libcoap(rig.stage.address, tmp_path, psk, "coap-client-gnutls", without(tmp_path, "AES-128-CBC"))


def test_discovery_and_interfaces(rig, libcoap):
    """Table 1."""
    (link,) = libcoap.get("oic/res?rt=oic.r.softwareupdate")
    assert link["href"] == "/oc/swu" and link["if"] == ["oic.if.rw", "oic.if.baseline"]
    assert libcoap.get(SWU) == libcoap.get(SWU + "?if=oic.if.rw") == libcoap.get(SWU, "-N")
    assert libcoap.get(SWU + "?if=oic.if.baseline")["rt"] == ["oic.r.softwareupdate"]
    assert "4.00" in libcoap.ask(SWU + "?if=oic.if.a")[1]
    for size in ("16", "64", "1024"):  # in blocks of the Client's choice
        assert libcoap.get("oic/res", "-b", size) == libcoap.get("oic/res")


def test_updates(libcoap):
    """Table 2: taken as a whole, or not at all."""
    payload, _ = libcoap.post(SWU, GOOD)
    assert cbor2.loads(payload) == libcoap.get(SWU)
    assert cbor2.loads(payload)["purl"] == GOOD["purl"] and cbor2.loads(payload)["updatetime"] == GOOD["updatetime"]
    before = libcoap.get(SWU)
    for change in (
        {"swupdatestate": "idle"}, {"nv": "1"}, {"x": 1}, {"purl": 1}, {"swupdateaction": "now"}, {"updatetime": "soon"},
        {"lastupdate": "2030-01-09T14:30:00Z"}, {"swupdateresult": 0}, {"signed": "vendor"},
    ):  # fmt: skip
        assert "4.00" in libcoap.post(SWU, {**GOOD, **change})[1], change
    for name in GOOD:
        assert "4.00" in libcoap.post(SWU, {k: v for k, v in GOOD.items() if k != name})[1]
    for payload in (b"", b"\xbf", b"\xa1\x64purl", b"\xff"):
        assert "4.00" in libcoap.post(SWU, payload or b"\x00")[1]
    for method in ("put", "delete", "fetch", "patch", "ipatch"):
        assert "4.05" in libcoap.post(SWU, GOOD, method=method)[1]
    assert "4.15" in libcoap.post(SWU, GOOD, content_format="50")[1]
    assert "4.02" in libcoap.post(SWU, GOOD, "-O", "65001,x")[1]
    assert "4.13" in libcoap.post(SWU, {**GOOD, "purl": "https://h/" + "x" * 6000})[1]
    assert libcoap.get(SWU) == before
    large = {**GOOD, "purl": "https://h/" + "x" * 240}
    for size in ("16", "64"):  # the UPDATE comes in blocks
        payload, _ = libcoap.post(SWU, large, "-b", size)
        assert libcoap.get(SWU)["purl"] == large["purl"]
        libcoap.post(SWU, GOOD)


def test_bad_urls(libcoap):
    """Table 5, 6 and 7."""
    for purl, result in (("no", 6), ("https://", 6), ("http://h/", 7), ("ftp://h/", 7)):
        libcoap.post(SWU, GOOD)
        assert "4.00" in libcoap.post(SWU, {**GOOD, "purl": purl})[1]
        swu = libcoap.get(SWU)
        assert (swu["purl"], swu["swupdateresult"], swu["swupdatestate"]) == (GOOD["purl"], result, "idle")


def test_an_update(rig, libcoap):
    """Figure 2, from the release's URL to the new version, with nothing but libcoap."""
    rig.stage.release("1.1.0", 2, firmware=True)
    body = {"purl": rig.stage.url("1.1.0"), "swupdateaction": "idle", "updatetime": "none"}
    payload, error = libcoap.post(SWU, body)
    assert payload, error
    followers = [Follower(libcoap, SWU), Follower(libcoap, PSTAT)]
    swu, pstat = followers
    try:
        swu.until(bool)
        pstat.until(bool)
        for bits, cm in ((256, 256), (64, 320)):
            libcoap.post(PSTAT, {"tm": bits})
            pstat.until(lambda v, cm=cm: v["cm"] == cm and v["tm"] == 0)
        libcoap.post(PSTAT, {"tm": 128})
        pstat.until(lambda v: v["cm"] == 448)
        swu.until(lambda v: v["swupdatestate"] == "upgrading")
    finally:
        for follower in followers:
            follower.stop()
    states = [v["swupdatestate"] for v in swu.values]
    assert [s for i, s in enumerate(states) if not i or states[i - 1] != s] == [
        "idle",
        "nsa",
        "svv",
        "sva",
        "upgrading",
    ]
    modes = [v["cm"] for v in pstat.values]
    assert [m for i, m in enumerate(modes) if not i or modes[i - 1] != m] == [0, 256, 320, 448]
    rig.board.wait_log("1.1.0 is kept", 40)
    assert libcoap.get("oic/d")["sv"] == libcoap.get("oic/p")["mnfv"] == "1.1.0"
    after = libcoap.get(SWU)
    assert (after["swupdatestate"], after["swupdateresult"], after["nv"]) == ("idle", 1, "")
