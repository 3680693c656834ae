"""The header parser of the HTTPS Source, fed with what no server should send."""

from check import raises
from swupdate.faults import Fault
from swupdate.install.head import Head


def head(*lines, first=b"HTTP/1.1 200 OK"):
    made = Head(first)
    for line in lines:
        made.add(line)
    return made


def test_status_lines():
    for line, status in (
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 404", 404),
        (b"HTTP/1.1 599 ", 599),
        (b"HTTP/1.1 206 Partial Content", 206),
    ):
        assert Head(line).status == status
    for line in (b"", b"HTTP/1.1", b"HTTP/1.1 20", b"HTTP/1.1 2x0 OK", b"HTTP/2 200 OK", b"HTTP/1.1 2000",
                 b"http/1.1 200",
                 b"HTTP/1.1 -20 OK", b"HTTP/1.1 099 x", b"HTTP/1.1 600 x", b"\xff" * 20,
                 b"HTTP/1.1\t200 OK"):  # fmt: skip
        with raises(Fault):
            Head(line)


def test_fields():
    made = head(
        b"Content-Length: 12",
        b'ETAG:"abc"',
        b"content-range: bytes 5-16/100",
        b"Location: https://h/x",
        b"X-Other: y: z",
    )
    assert (made.length, made.etag, made.range, made.location) == (12, b'"abc"', (5, 16), "https://h/x")
    assert made.keep and not made.refused
    assert head().length == -1


def test_lengths():
    assert head(b"Content-Length: 3", b"Content-Length: 3").length == 3
    for value in (b"", b"-1", b"+1", b"1 2", b"1,1", b"0x10", b"1e3", b"9" * 10, b"\xb2", b"9" * 400):
        with raises(Fault, "Content-Length"):
            head(b"Content-Length: " + value)
    with raises(Fault, "Content-Length"):
        head(b"Content-Length: 3", b"Content-Length: 4")


def test_bodies_that_cannot_be_used():
    assert "chunked" in head(b"Transfer-Encoding: chunked", b"Content-Length: 3").refused
    assert "chunked" in head(b"Content-Length: 3", b"TRANSFER-ENCODING: identity").refused
    assert "encoding" in head(b"Content-Encoding: gzip").refused
    assert head(b"Content-Encoding: Identity").refused is None


def test_connection():
    assert not head(b"Connection: close").keep
    assert head(b"Connection: keep-alive").keep
    assert not head(first=b"HTTP/1.0 200 OK").keep


def test_entity_tags_that_are_none():
    for value in (b"", b'"a b"', b'"a\x01"', b'"\xc3\xa4"', b'"' + b"a" * 64 + b'"'):
        assert head(b"ETag: " + value).etag is None


def test_ranges_that_are_none():
    for value in (
        b"",
        b"bytes",
        b"bytes 1",
        b"bytes 1-",
        b"bytes -1",
        b"bytes */9",
        b"bytes a-b/9",
        b"bytes 1-2-3/9",
        b"x 1-2/3",
    ):
        assert head(b"Content-Range: " + value).range is None


def test_lines_that_are_none():
    for line in (b"no colon", b": x", b" folded: x", b"name : x", b"\t", b"\xff\xff"):
        with raises(Fault):
            head(line)
    with raises(Fault, "URL"):
        head(b"Location: \xff\xfe")


def test_any_changed_byte_is_survived():
    lines = [
        b"HTTP/1.1 206 OK",
        b"Content-Length: 12",
        b'ETag: "abc"',
        b"Content-Range: bytes 5-16/100",
        b"Location: /x",
    ]
    for which, line in enumerate(lines):
        for at in range(len(line)):
            for byte in (0, 10, 13, 32, 45, 58, 127, 128, 255):
                changed = list(lines)
                changed[which] = line[:at] + bytes((byte,)) + line[at + 1 :]
                try:
                    head(*changed[1:], first=changed[0])
                except Fault:
                    pass
