"""Release servers that lie, stall, send without end or lead elsewhere, and package URLs that lead to the Device itself.

Every one of them ends with a result and a reason in words, nothing is installed, and the next good download succeeds.
"""

import itertools
import time

import aiocoap
import pytest
from fargo.authority import Authority
from link import NameServer
from raw_https import Server, raw, reply
from sim.cuts import CHUNK, Raw
from sim.rig import ISAC, ISVV, STATUS, SWU, Rig
from sim.test_results import fails, release

SETTINGS = {"retries": 0, "min_bps": 2000, "lag_s": 4, "read_s": 3}


@pytest.fixture(scope="module")
def named():
    """The module's name server: port and names."""
    with NameServer({}) as names:
        yield names


@pytest.fixture(scope="module")
def rig(tmp_path_factory, named):
    """One board for all; it does not try again, so that each failure shows itself."""
    rig = Rig(tmp_path_factory.mktemp("board"), settings=SETTINGS, board={"dns_port": named.port}).start()
    yield rig
    rig.stop()
    assert rig.board.resets == ["power"]
    assert not [line for line in rig.board.lines if "Traceback" in line]


@pytest.fixture
def server(rig):
    """A raw server in place of the stage's."""
    with Raw(rig) as server:
        yield server


async def ends(rig, server, part, lie, result, words):
    """A fetch from `server`, that lies about `part`, ends so, and one without the lie succeeds."""
    version = release(rig)
    async with rig.client() as client:
        server.lies = {part: lie}
        reason = await fails(client, server.url(version), result, words=words)
        server.lies = {}
        swu = await client.run(server.url(version), ISVV)
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0), await client.reason()
    return reason


# Endless data


def endless(head, piece):
    """A route that never stops by itself."""

    def route(stream, _headers):
        stream.sendall(head)
        for _ in range(50_000):  # 200 MB, more than any board reads in the time of a test
            stream.sendall(piece)
        pytest.fail("all of it was taken")

    return route


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(("part", "lie", "result", "words"), [
    (".suit", endless(OK, b"X-More: and more\r\n" * 256), 4, "endless header"),
    (".suit", endless(OK, b"x" * CHUNK), 4, "a header of more than 512"),
    (".suit", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 128), 4, "endless header"),
    (".suit", endless(OK + b"Content-Length: 999999999\r\n\r\n", bytes(CHUNK)), 5, "more than the 4096"),
    (".suit", endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + bytes(CHUNK) + b"\r\n"), 4, "chunked"),
    (".suit", endless(OK + b"\r\n", bytes(CHUNK)), 4, "how long"),
    (".chunks", endless(OK + b"Content-Length: 999999999\r\n\r\n", bytes(CHUNK)), 5, "not the one that was signed"),
    (".bin", endless(OK + b"Content-Length: 999999999\r\n\r\n", bytes(CHUNK)), 5, "not what was signed"),
    (".bin", endless(b"HTTP/1.1 206 X\r\nContent-Length: 999999999\r\nContent-Range: bytes 4096-999999999/*\r\n\r\n",
                     bytes(CHUNK)), 4, "another range"),
], ids=range(9))  # fmt: skip
async def test_endless_data(rig, server, part, lie, result, words):
    """Headers, interim answers, envelope, table and payload without end: no more is read than was signed or is allowed."""
    await ends(rig, server, part, lie, result, words)


# Slow retrieval


def trickle(head, byte=b"x"):
    """A route that sends `head`, and then a byte each half second: far below two thousand a second."""

    def route(stream, _headers):
        stream.sendall(head)
        for _ in range(120):
            time.sleep(0.5)
            stream.sendall(byte)
        return False

    return route


@pytest.mark.parametrize(("part", "lie", "words"), [
    (".suit", trickle(b""), "too slow"),
    (".suit", trickle(OK + b"X: "), "too slow"),
    (".suit", trickle(OK + b"Content-Length: 900\r\n\r\n"), "too slow: it sends less than 2000 bytes a second"),
    (".chunks", trickle(OK + b"Content-Length: 900\r\n\r\n"), "too slow: it sends less than 2000 bytes a second"),
    (".bin", trickle(OK + b"Content-Length: 900000\r\n\r\n"), "too slow: it sends less than 2000 bytes a second"),
    (".bin", raw(OK + b"Content-Length: 900000\r\n\r\n", pause=8), "sent nothing within 3 s"),
], ids=range(6))  # fmt: skip
async def test_slow_retrieval(rig, server, part, lie, words):
    """A byte now and then, in header, envelope, table and payload: given up, with the reason."""
    began = time.monotonic()
    await ends(rig, server, part, lie, 4, words)
    assert time.monotonic() - began < 30


# Lies


def lie(status, length, *fields, sent=8000):
    """A route whose header is a lie."""

    def route(stream, _headers):
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", *fields]
        stream.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + bytes(sent))
        return False

    return route


RANGE = "Content-Range: bytes "


@pytest.mark.parametrize(("part", "lie", "result", "words"), [
    (".suit", lie(200, 100), 5, ""),
    (".suit", lie(200, 4000, sent=300), 4, "closed the connection with 3700 bytes missing"),
    (".suit", lie(206, 300), 4, "answered 206"),
    (".suit", raw(b""), 4, "closed the connection before it answered"),
    (".suit", raw(OK[:9]), 4, "closed the connection before it answered"),
    (".suit", raw(OK + b"Content-Le"), 4, "closed the connection before it answered"),
    (".chunks", lie(200, 100), 4, "has a file of 100 bytes only"),
    (".bin", lie(200, 100), 4, "has a file of 100 bytes only"),
    (".bin", lie(206, 100, RANGE + "4096-4195/99999"), 4, "another range"),
    (".bin", lie(206, 55904, RANGE + "0-55903/60000"), 4, "another range"),
    (".bin", lie(206, 55904, RANGE + "*/60000"), 4, "another range"),
    (".bin", lie(206, 55904), 4, "another range"),
    (".bin", lie(416, 0), 416, "416"),
    (".bin", lie(412, 0), 412, "412"),
    (".bin", lie(304, 0), 4, "answered 304"),
], ids=range(15))  # fmt: skip
async def test_lies(rig, server, part, lie, result, words):
    """About lengths and ranges, and connections that end at every stage."""
    await ends(rig, server, part, lie, result, words)


@pytest.mark.parametrize("lie", [
    lie(206, 9, RANGE + "0-8/9999"),
    lie(200, 20),
    lie(204, 0),
    lie(206, 500, "Content-Encoding: gzip"),
    raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
], ids=range(5))  # fmt: skip
async def test_lies_about_a_delta(rig, server, lie):
    """It cannot be had from this server: the payload is."""
    version = release(rig, change={"extra.txt": "something else " * 400}, bases=[rig.base()])
    server.lies = {".delta": lie}
    async with rig.client() as client:
        swu = await client.run(server.url(version), ISVV)
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0), await client.reason()
    fetched = [path.rpartition(".")[2] for path, _ in server.requests]
    assert fetched.count("delta") == 1 and "bin" in fetched


# Elsewhere


def moved(url):
    """A redirect."""
    return reply(302, b"", "Location: " + url)


@pytest.mark.parametrize(("result", "words", "location"), [
    (7, "does not fetch with http", "http://127.0.0.1/x.suit"),
    (7, "does not fetch with coap", "coap://127.0.0.1/x.suit"),
    (6, "user information", "https://user:secret@127.0.0.1/x.suit"),
    (6, "user information", "https://user@127.0.0.1/x.suit"),
    (6, "this device itself", "https://0.0.0.0/x.suit"),
    (6, "no single host", "https://224.0.1.187/x.suit"),
    (4, "redirects more than 3 times", "/x.suit"),
], ids=range(7))  # fmt: skip
async def test_redirect_to_http_and_to_where_nobody_goes(rig, server, result, words, location):
    """Nothing but https is followed, no user information is sent, and there are three steps at most."""
    await ends(rig, server, ".suit", moved(location), result, words)


async def test_redirect_to_the_device_itself(rig, server):
    """It is not asked."""
    await ends(rig, server, ".bin", moved(f"https://{rig.stage.address}:5684/x"), 6, "this device itself")


async def test_redirect_to_another_server(rig, server):
    """It has to show a certificate of its own by the same authorities; the payload may then come from it."""
    version = release(rig, change={"extra.txt": "elsewhere"})
    with Raw(rig) as other:

        def elsewhere(stream, headers):
            return moved(f"https://127.0.0.1:{other.port}{server.requests[-1][0]}")(stream, headers)

        async with rig.client() as client:
            server.lies = {".bin": elsewhere, ".chunks": elsewhere}
            swu = await client.run(server.url(version), ISVV)
            assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0), await client.reason()
    assert {path[-4:] for path, _ in other.requests} == {".bin", "unks"} and not server.answers


async def test_redirect_to_a_server_of_another_authority(rig, server, tmp_path):
    """Its certificate does not chain to what was provisioned."""
    certificate, key = Authority(tmp_path / "other").server(["127.0.0.1"])
    other = Server(lambda context: context.load_cert_chain(certificate, key))
    try:
        await ends(rig, server, ".suit", moved(f"https://127.0.0.1:{other.port}/x.suit"), 4, "certificate is refused")
        assert other.connections and not other.requests
    finally:
        other.close()


# Package URLs


async def refused(client, url, words):
    """4.00, result 6, and the URL that was there stays (the same for an action)."""
    for action in ("idle", ISAC, ISVV):
        await client.update("", "idle")
        before = (await client.get(SWU))["purl"]
        answer = await client.update(url, action, "now" if action != "idle" else "none")
        assert answer.code == aiocoap.BAD_REQUEST and words in answer.payload.decode(), (url, answer)
        swu = await client.get(SWU)
        assert (swu["purl"], swu["swupdateresult"], swu["swupdateaction"]) == (before, 6, "idle")
        assert words in await client.reason()


async def idle(rig, client):
    """No offer is known any more."""
    assert (await client.run(rig.stage.url("1.0.0"), ISAC))["swupdatestate"] == "idle"


@pytest.mark.parametrize("scheme", ["https", "coaps"])
async def test_purl_at_the_device_itself(rig, scheme):
    """Its own address, whatever the port, and the addresses of nobody."""
    own = rig.stage.address
    async with rig.client() as client:
        await idle(rig, client)
        for host in (
            own,
            own + ":5684",
            own + ":5683",
            own + ".",
            "0.0.0.0",
            "0.1.2.3",
            "[::]",
            f"[::ffff:{own}]",
        ):
            await refused(client, f"{scheme}://{host}/x.suit", "this device itself")
        for host in ("224.0.1.187", "239.255.255.250", "255.255.255.255", "[ff02::158]", "[FF0E::1]:99"):
            await refused(client, f"{scheme}://{host}/x.suit", "no single host")


@pytest.mark.parametrize("scheme", ["https", "coaps"])
async def test_purl_with_a_name_of_the_device_itself(rig, named, scheme):
    """Found out when it is resolved: result 6, nothing is asked, nothing hangs."""
    addresses = {"me.example": rig.stage.address, "zero.example": "0.0.0.0", "group.example": "224.0.1.187"}
    named.names.update(addresses)
    async with rig.client() as client:
        await idle(rig, client)
        for name in addresses:
            words = "no single host" if name == "group.example" else "this device itself"
            began = time.monotonic()
            await fails(client, f"{scheme}://{name}:5684/x.suit", 6, words=words)
            assert time.monotonic() - began < 20  # it is at once: this is for a busy machine
            assert (await client.get(STATUS))["attempts"] == 1


async def test_purl_with_user_info(rig):
    """With and without a password; the credentials are not kept and not repeated."""
    async with rig.client() as client:
        await idle(rig, client)
        for user, scheme in itertools.product(("user", "user:secret", ":", "", "a%40b"), ("https", "coaps")):
            await refused(client, f"{scheme}://{user}@127.0.0.1/x.suit", "user information")
        assert "secret" not in await client.reason() and not [line for line in rig.board.lines if "secret" in line]
