"""A Client of plgd's CoAP library (go-coap) on pion's DTLS owns the product, updates it and gives it back.

The library that plgd's own OCF Client is, github.com/plgd-dev/device, is not among the modules that can be had where these
tests run. So the layers below it are plgd's, unmodified, and the messages on top, in plgd's order and with their oddities,
are spoken by a program of ours (gocoap/own.go). What only plgd's code can prove is not proved here.

Client and boards are in two network namespaces joined by a veth pair (netns.py), with the port numbers that OCF has.
"""

import datetime
import functools
import time
import uuid

import pytest
from certificates import Party
from cryptography.hazmat.primitives import serialization
from interop.go_client import WAIT, Failed, GoClient, build
from netns import Netns
from sim.rig import CM, PSTAT, SWU, Faulty, Rig

DOXM, NIL = "/oic/sec/doxm", "00000000-0000-0000-0000-000000000000"
SWU, PSTAT = "/" + SWU, "/" + PSTAT
FAR = "2098-01-09T14:30:00Z"
BEGIN = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - datetime.timedelta(hours=1)
VALID = {"begin": BEGIN, "end": BEGIN + datetime.timedelta(days=1)}

MAKER = Party("Maker of boards", ca=True, **VALID)
TOOLS = Party("Maker of onboarding tools", ca=True, **VALID)
STRANGER = Party("Stranger", ca=True, **VALID)
OWNER = Party("Owner's authority", ca=True, **VALID)
TOOL = Party("Onboarding tool", TOOLS, **VALID)
DEVICE = Party("Board of ours", MAKER, **VALID)
UNTRUSTED = Party("Onboarding tool", STRANGER, **VALID)


def pem(*parties):
    return "".join(party.certificate.public_bytes(serialization.Encoding.PEM).decode() for party in parties)


def secret(party):
    kind = serialization.PrivateFormat.PKCS8
    return party.key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def as_manufacturer(party=TOOL, trusts=MAKER):
    return {"chain": pem(party), "key": secret(party), "trusts": pem(trusts)}


AUTHORITY = {"chain": pem(OWNER), "key": secret(OWNER)}
MANUFACTURER = {
    "mfgcert": {"chain": [DEVICE.der], "key": DEVICE.key.private_numbers().private_value.to_bytes(32, "big")},
    "mfgtrust": [TOOLS.der],
}


@pytest.fixture(scope="module")
def hosts():
    with Netns(addresses=2) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def program():
    return build()


@pytest.fixture(scope="module")
def make(hosts, tmp_path_factory):
    """Makes boards in the device's namespace, with their release servers in the Client's."""
    made = []

    def start():
        options = {"address": hosts.device.addresses[len(made)], "manufacturer": MANUFACTURER, "owned": False}
        with hosts.client.entered():
            server = functools.partial(Faulty, host=hosts.client.address)
            rig = Rig(tmp_path_factory.mktemp("board"), server=server, **options)
        made.append(rig)
        with hosts.device.entered():
            return rig.start()

    yield start
    for rig in made:
        rig.stop()


@pytest.fixture(scope="module")
def shared(make):
    return make()


@pytest.fixture
def client(hosts, program):
    """A Client that has nothing yet."""
    with GoClient(hosts.client.command(str(program))) as client:
        yield client


@pytest.fixture
def board(shared, client):
    """The shared board, which nobody owns; `client` disowns it afterwards."""
    yield shared
    if not status(client, shared):
        disown(client, shared)


def status(client, rig):
    """doxm, read in the clear; None of a board that has an owner, which refuses that."""
    client.do("connect", address=rig.stage.address, method="clear")
    try:
        doxm = client.get(DOXM)
    except Failed as error:
        assert error.code == "4.01"
        return None
    assert doxm["owned"] is False and doxm["devowneruuid"] == NIL
    return doxm


def own(client, rig, method="just-works", **more):
    """Become the owner, and connect; the owner's UUID."""
    owner = str(uuid.uuid4())
    client.do("own", address=rig.stage.address, uuid=owner, method=method, **more)
    client.do("connect", address=rig.stage.address, method="psk")
    return owner


def disown(client, rig):
    """RESET, as the owner, and wait until nobody owns the board."""
    client.do("connect", address=rig.stage.address, method="psk")
    client.do("disown")
    end = time.monotonic() + WAIT
    while not (doxm := status(client, rig)):  # RESET begins when its answer has gone out
        assert time.monotonic() < end
    return doxm


def refusal(call, *arguments, **more):
    with pytest.raises(Failed) as caught:
        call(*arguments, **more)
    return caught.value.code or str(caught.value)


def found(client, hosts, path, *query, enough=1):
    """What the group answers: address -> value. `enough` answers: those that come in 20 s; 0: in 1 s."""
    where = {"interface": hosts.client.interface, "enough": enough, "ms": 20_000 if enough else 1000}
    answers = client.do("discover", path=path, query=list(query), **where)
    return {answer["from"].partition(":")[0]: answer["value"] for answer in answers}


def test_multicast_discovery(board, hosts, client):
    """Who nobody owns answers owned=false and is silent at owned=true; its links lead to it, /oc/swu among them."""
    here = board.stage.address
    answers = found(client, hosts, "/oic/res")
    assert list(answers) == [here]
    links = {link["href"]: link for link in answers[here]}
    swu = links["/oc/swu"]
    assert (
        swu["rt"] == ["oic.r.softwareupdate"] and swu["if"] == ["oic.if.rw", "oic.if.baseline"] and swu["p"]["bm"] == 3
    )
    assert [end["ep"] for end in swu["eps"]] == [f"coaps://{here}:5684"]
    assert {end["ep"] for end in links[DOXM]["eps"]} == {f"coap://{here}:5683", f"coaps://{here}:5684"}
    (doxm,) = found(client, hosts, DOXM, "owned=false").values()
    assert doxm["owned"] is False and doxm["devowneruuid"] == NIL and {0, 2} <= set(doxm["oxms"])
    assert {link["anchor"] for link in links.values()} == {"ocf://" + doxm["deviceuuid"]}
    assert found(client, hosts, DOXM, "owned=true", enough=0) == {}
    assert found(client, hosts, "/oic/res", "rt=oic.r.softwareupdate")[here][0]["href"] == "/oc/swu"


def test_just_works(board, hosts, client):
    """Owned: found by its links, described, read and written with plgd's types, observed; then disowned, and as if new."""
    before = status(client, board)
    owner = own(client, board)
    doxm = client.get(DOXM)
    assert doxm["owned"] is True and doxm["devowneruuid"] == doxm["rowneruuid"] == owner
    assert doxm["deviceuuid"] == before["deviceuuid"]
    ((link,),) = found(client, hosts, "/oic/res", "rt=oic.r.doxm").values()
    assert link["anchor"] == "ocf://" + doxm["deviceuuid"]
    assert [end["ep"] for end in link["eps"]] == [f"coaps://{board.stage.address}:5684"]
    for owned in ("true", "false"):  # whoever is no owner is not told who is
        assert found(client, hosts, DOXM, "owned=" + owned, enough=0) == {}

    device, platform = client.get("/oic/d"), client.get("/oic/p")
    assert device["di"] == doxm["deviceuuid"] and device["sv"] == platform["mnfv"] == "1.0.0"
    pstat = client.get(PSTAT)
    assert pstat["dos"] == {"s": 3, "p": False} and pstat["isop"] and (pstat["cm"], pstat["tm"]) == (0, 0)
    assert (pstat["om"], pstat["sm"], pstat["rowneruuid"]) == (4, 4, owner)
    assert client.get(PSTAT, "if=oic.if.baseline")["rt"] == ["oic.r.pstat"]

    fresh = client.get(SWU)
    assert (fresh["swupdateaction"], fresh["swupdatestate"], fresh["swupdateresult"]) == ("idle", "idle", 0)
    assert (fresh["nv"], fresh["purl"], fresh["signed"]) == ("", "", "vendor")
    assert client.get(SWU, "if=oic.if.baseline")["rt"] == ["oic.r.softwareupdate"]
    client.do("observe", path=SWU)
    client.do("observe", path=PSTAT)
    for when in ("now", "none", FAR):  # what clients write with an action that does nothing
        purl = f"https://myvendor/{when[:4]}"
        answer = client.update(SWU, purl=purl, swupdateaction="idle", updatetime=when)
        assert answer["purl"] == purl and answer == client.get(SWU)
        client.notified(SWU, lambda value, purl=purl: value["purl"] == purl)
    # what is missing, wrong or not to be written is refused, and changes nothing
    told = client.get(SWU)
    good = {"purl": "https://myvendor/x", "swupdateaction": "idle", "updatetime": "now"}
    for name in good:  # plgd's type leaves out what is empty
        assert refusal(client.update, SWU, **{key: good[key] for key in good if key != name}) == "4.00"
    for change in ({"swupdateaction": "install"}, {"updatetime": "soon"}, {"swupdateresult": 1}, {"nv": "2"}):
        assert refusal(client.update, SWU, **{**good, **change}) == "4.00"
    # this board has met no time server, and so schedules nothing
    assert refusal(client.update, SWU, **{**good, "swupdateaction": "isac", "updatetime": FAR}) == "5.03"
    assert client.get(SWU) == told
    assert refusal(client.update, PSTAT, cm=0) == "4.00"
    # nobody writes who may do what in this state, and nobody reads it in the clear
    assert refusal(client.do, "delete", path="/oic/sec/acl2") in ("4.01", "4.03")
    client.do("connect", address=board.stage.address, method="clear")
    assert client.get("/oic/d") == device
    for path in (SWU, PSTAT, "/oic/sec/cred", "/oic/sec/acl2", "/lamp"):
        assert refusal(client.get, path) == "4.01", path

    after = disown(client, board)
    assert after["devowneruuid"] == after["rowneruuid"] == NIL and after["deviceuuid"] != doxm["deviceuuid"]
    assert refusal(client.do, "connect", address=board.stage.address, method="psk", ms=3000)  # is not answered
    own(client, board)
    assert client.get(SWU)["purl"] == ""  # the former owner's is gone


@pytest.mark.parametrize("key", [b"sixteen letters!", b"zeros at end!\0\0\0", bytes(range(0xF0, 0x100))])
def test_a_key_that_is_sent_as_text(board, client, key):
    """plgd writes the owner's key as a text string, whether it is text or not."""
    owner = own(client, board, key=key.hex())
    assert client.get(DOXM)["devowneruuid"] == owner


def test_an_owned_device_is_nobody_elses(board, hosts, program, client):
    """Its owner goes on; others are refused, whether they look first or not."""
    owner = own(client, board)
    with GoClient(hosts.client.command(str(program))) as thief:
        where = {"address": board.stage.address, "uuid": str(uuid.uuid4())}
        assert refusal(thief.do, "own", method="just-works", **where) == "4.01"  # at the first look
        assert refusal(thief.do, "own", method="just-works", blind=True, **where) == "4.01"
        assert "handshake" in refusal(thief.do, "connect", method="anonymous", **where).lower()
        assert refusal(thief.do, "connect", method="psk", **where)  # of an owner that is none
    assert client.get(DOXM)["devowneruuid"] == owner  # in the session of before
    client.do("connect", address=board.stage.address, method="psk")
    assert client.get(PSTAT)["isop"]


def test_manufacturer_certificate(board, client):
    """Both sides show what their makers gave them; the owner's authority then names both, and that is enough to connect."""
    owner = own(client, board, "certificate", manufacturer=as_manufacturer(), authority=AUTHORITY)
    assert client.get(PSTAT)["rowneruuid"] == owner
    client.do("connect", address=board.stage.address, method="certificate")
    assert client.get(PSTAT)["isop"] and client.get(SWU)["swupdatestate"] == "idle"
    assert client.update(SWU, purl="https://myvendor/x", swupdateaction="idle", updatetime="none")
    disown(client, board)
    assert refusal(client.do, "connect", address=board.stage.address, method="certificate", ms=3000)


def test_manufacturers_who_are_not_trusted(board, client):
    """A Client of another manufacturer, and one that does not know ours: no session, and the board is still to be had."""
    attempt = {"address": board.stage.address, "uuid": str(uuid.uuid4()), "method": "certificate"}
    for maker in (as_manufacturer(UNTRUSTED), as_manufacturer(trusts=STRANGER), as_manufacturer(DEVICE)):
        assert "handshake" in refusal(client.do, "own", manufacturer=maker, **attempt)
        assert status(client, board)
    own(client, board, "certificate", manufacturer=as_manufacturer())
    assert client.get(PSTAT)["isop"]


def test_a_whole_update(make, client):
    """Just Works, UPDATE with the release's URL: isac, then upgrade; the states as they come, the new version, disowned."""
    rig = make()
    rig.stage.release("1.1.0", 2, firmware=True)
    url = rig.stage.url("1.1.0")
    owner = own(client, rig)
    before, name = client.get("/oic/d"), "kept over the update"
    client.update("/oc/con", n=name)
    client.do("observe", path=SWU)
    client.do("observe", path=PSTAT)
    answer = client.update(SWU, purl=url, swupdateaction="isac", updatetime="now")
    assert answer["purl"] == url and answer["swupdateaction"] == "isac"
    client.notified(SWU, lambda value: value["swupdatestate"] == "nsa" and value["nv"] == "1.1.0")
    client.notified(PSTAT, lambda value: value["cm"] == CM["nsa"] and value["tm"] == 0)
    answer = client.update(SWU, purl=url, swupdateaction="upgrade", updatetime="now")
    assert answer["purl"] == url and answer["swupdateaction"] == "upgrade"
    client.notified(SWU, lambda value: value["swupdatestate"] == "upgrading")
    client.notified(PSTAT, lambda value: value["cm"] == CM["upgrading"])
    assert steps(client, SWU, "swupdatestate") == ["idle", "nsa", "svv", "sva", "upgrading"]
    assert steps(client, PSTAT, "cm") == [0, 256, 320, 448]
    rig.board.wait_log("1.1.0 is kept", 60)
    assert rig.board.resets == ["power", "reset"]

    client.again("connect", address=rig.stage.address, method="psk")  # with the key of before
    swu, after = client.get(SWU), client.get("/oic/d")
    assert [swu[key] for key in ("swupdateaction", "swupdatestate", "swupdateresult", "nv")] == ["idle", "idle", 1, ""]
    assert swu["purl"] == url and after == {**before, "sv": "1.1.0", "n": name}
    pstat = client.get(PSTAT)
    assert pstat["isop"] and (pstat["cm"], pstat["tm"]) == (0, 0) and pstat["rowneruuid"] == owner
    doxm = disown(client, rig)
    assert doxm["devowneruuid"] == NIL and doxm["deviceuuid"] != before["di"]
    assert not [line for line in rig.board.lines if "Traceback" in line]


def steps(client, path, name):
    """The values of a Property over the notifications, without repetitions."""
    values = [value[name] for value in client.seen[path]]
    return [value for i, value in enumerate(values) if not i or values[i - 1] != value]


def test_the_shared_board_never_restarted(shared):
    assert shared.board.resets == ["power"]
    assert not [line for line in shared.board.lines if "Traceback" in line]
