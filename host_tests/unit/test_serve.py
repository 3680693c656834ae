"""The release server over HTTPS, asked by Python's own client and by raw sockets."""

import hashlib
import http.client
import os
import socket
import ssl
import stat

import pytest
from fargo.authority import Authority
from fargo.console import CONNECTION, Failure
from fargo.serve import PIECE, Server, Unsatisfiable, byte_range

BODY = bytes(i * 7 % 251 for i in range(20_000))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    top = tmp_path_factory.mktemp("serve")
    root = top / "release"
    (root / "sub dir").mkdir(parents=True)
    (root / "app.bin").write_bytes(BODY)
    (root / "sub dir" / "a+b.txt").write_bytes(b"inside")
    (root / "empty").write_bytes(b"")
    (root / ".hidden").write_bytes(b"key")
    (top / "secret").write_bytes(b"outside")
    (root / "link").symlink_to(top / "secret")
    with Server(root, Authority(top / "ca"), names=["localhost", "127.0.0.1"], coaps_port=None) as server:
        yield server


def context(server):
    made = ssl.create_default_context(cadata=server.authority.ca_der())
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


def ask(server, path="/app.bin", method="GET", host="localhost", **headers):
    connection = http.client.HTTPSConnection(host, server.https_port, context=context(server), timeout=30)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_whole_file_with_its_digest_as_strong_tag(served):
    response, body = ask(served)
    assert (response.status, body) == (200, BODY)
    assert response.headers["ETag"] == '"%s"' % hashlib.sha256(BODY).hexdigest()
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Length"] == str(len(BODY))
    assert "Server" not in response.headers


def test_the_certificate_is_good_for_addresses_too_and_not_for_other_names(served):
    assert ask(served, host="127.0.0.1")[0].status == 200
    with (
        socket.create_connection(("127.0.0.1", served.https_port)) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context(served).wrap_socket(raw, server_hostname="example.net")


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, 20_000),
        ("bytes=-5", 19_995, 20_000),
        ("bytes=19999-99999", 19_999, 20_000),
    ]
    + [("bytes=-99999", 0, 20_000)],
)
def test_range(served, header, start, end):
    response, body = ask(served, Range=header)
    assert (response.status, body) == (206, BODY[start:end])
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/20000"


@pytest.mark.parametrize("header", ["bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes 0-1"])
def test_range_that_means_nothing_is_ignored(served, header):
    response, body = ask(served, Range=header)
    assert (response.status, len(body)) == (200, 20_000)


@pytest.mark.parametrize("header", ["bytes=20000-", "bytes=99999-100000", "bytes=-0"])
def test_range_outside_is_416_with_the_size(served, header):
    response, body = ask(served, Range=header)
    assert (response.status, body) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */20000"


def test_range_of_an_empty_file_is_416(served):
    assert ask(served, "/empty", Range="bytes=0-")[0].status == 416
    assert ask(served, "/empty")[0].status == 200


def test_if_range(served):
    tag = ask(served)[0].headers["ETag"]
    assert ask(served, Range="bytes=0-9", If_Range=tag)[0].status == 206
    for other in ('"other"', "W/" + tag, "Mon, 23 Nov 2026 15:00:00 GMT"):
        response, body = ask(served, Range="bytes=0-9", If_Range=other)
        assert (response.status, body) == (200, BODY), other


def test_if_match_and_if_none_match(served):
    tag = ask(served)[0].headers["ETag"]
    assert ask(served, If_Match='"other"')[0].status == 412
    assert ask(served, If_Match=f'"other", {tag}')[0].status == 200
    assert ask(served, If_None_Match=tag)[0].status == 304
    assert ask(served, If_None_Match='"other"')[0].status == 200


def test_head_has_the_fields_of_get_and_no_body(served):
    response, body = ask(served, method="HEAD", Range="bytes=0-9")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == "20000"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405(served, method):
    response, _ = ask(served, method=method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sub%20dir",
        "/sub%20dir/",
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub%20dir/../../secret",
        "/link",
    ]
    + ["/.hidden", "//app.bin", "/app.bin/", "/app.bin%00", "/..\\secret", "/C:/secret", "/none", "/" + "a" * 5000]
    + ["/%2Fetc/passwd", "//etc/passwd", "/%c0%ae%c0%ae/secret"],
)
def test_nothing_else_exists(served, path):
    response, body = ask(served, path)
    assert (response.status, body) == (404, b"")


def test_percent_encoding_and_query(served):
    assert ask(served, "/sub%20dir/a+b.txt")[1] == b"inside"
    assert ask(served, "/app.bin?x=../..")[1] == BODY


def raw_records(server, request):
    """(record types and lengths, response bytes): TLS by hand, so that what crosses the wire is seen."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(server).wrap_bio(incoming, outgoing, server_hostname="localhost")
    wire, answer = b"", b""
    with socket.create_connection(("127.0.0.1", server.https_port), timeout=30) as sock:

        def step(operation):
            nonlocal wire
            while True:
                try:
                    return operation()
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        sock.sendall(outgoing.read())
                    data = sock.recv(65536)
                    wire += data
                    incoming.write(data) if data else incoming.write_eof()

        step(tls.do_handshake)
        tls.write(request)
        sock.sendall(outgoing.read())
        while True:
            try:
                data = step(lambda: tls.read(65536))
            except ssl.SSLEOFError:
                data = b""
            if not data:
                break
            answer += data
    records = []
    while wire:
        length = int.from_bytes(wire[3:5], "big")
        records.append((wire[0], length))
        wire = wire[5 + length :]
    return records, answer


def test_no_tls_record_exceeds_4_kb(served):
    records, answer = raw_records(served, b"GET /app.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.endswith(BODY)
    assert max(length + 5 for _, length in records) <= 4096
    # And they are not needlessly small either: one for each piece, and a few for handshake, fields and closing.
    assert len(records) < len(BODY) / PIECE + 12


def test_counts_requests_and_bytes_of_a_path(served):
    before, total = served.count("/app.bin"), served.total("https")
    ask(served, Range="bytes=0-99")
    ask(served, method="HEAD")
    ask(served, "/none")
    after = served.count("/app.bin", "https")
    assert (after.requests - before.requests, after.bytes - before.bytes) == (2, 100)
    assert served.total("https").bytes - total.bytes == 100
    assert served.count("/app.bin", "coap").requests == 0


def test_a_changed_file_gets_another_tag(served):
    path = served.folder.root / "changing"
    path.write_bytes(b"one")
    first = ask(served, "/changing")[0].headers["ETag"]
    path.with_name("new").write_bytes(b"two")
    os.replace(path.with_name("new"), path)
    response, body = ask(served, "/changing")
    assert body == b"two"
    assert response.headers["ETag"] != first


def test_stop_cuts_connections_and_start_takes_the_same_port(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "big").write_bytes(bytes(30_000_000))
    server = Server(tmp_path / "r", Authority(tmp_path / "ca"), coaps_port=None)
    server.start()
    port = server.https_port
    connection = http.client.HTTPSConnection("localhost", port, context=context(server), timeout=30)
    connection.request("GET", "/big")
    response = connection.getresponse()
    response.read(1000)
    server.stop()
    with pytest.raises((http.client.IncompleteRead, OSError)):
        response.read()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with server:
        assert server.https_port == port
        assert ask(server, "/big", Range="bytes=0-3")[1] == bytes(4)


def test_a_port_in_use_is_a_failure_that_says_so(tmp_path, served):
    with pytest.raises(Failure) as caught:
        Server(tmp_path, Authority(tmp_path / "ca"), https_port=served.https_port, coaps_port=None).start()
    assert caught.value.code == CONNECTION
    assert str(served.https_port) in caught.value.text


def test_byte_range_is_exact_at_the_edges():
    assert byte_range("bytes=0-0", 1) == (0, 1)
    assert byte_range("bytes=-1", 1) == (0, 1)
    assert byte_range("bytes=0-" + "9" * 30, 5) is None
    with pytest.raises(Unsatisfiable):
        byte_range("bytes=0-", 0)


def test_authority_is_kept_and_private(tmp_path):
    folder = tmp_path / "ca"
    first = Authority(folder)
    first.server(["localhost"])
    assert Authority(folder).ca_der() == first.ca_der()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    (folder / "ca.pem").unlink()
    with pytest.raises(Failure, match="only one of"):
        Authority(folder)
    (folder / "ca.pem").write_bytes(b"nonsense")
    with pytest.raises(Failure, match="no readable"):
        Authority(folder)


def test_authority_refuses_a_pair_that_does_not_match(tmp_path):
    Authority(tmp_path / "one")
    Authority(tmp_path / "two")
    os.replace(tmp_path / "one" / "ca.key", tmp_path / "two" / "ca.key")
    with pytest.raises(Failure, match="do not belong together"):
        Authority(tmp_path / "two")
