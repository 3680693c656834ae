"""`swupdate.url`: which package URLs are taken, and which code of Table 5 the others get."""

from swupdate.faults import Fault
from swupdate.url import parse

SECURE = ("https", "coaps")

GOOD = (
    ("https://myvendor/newversion", ("https", "myvendor", 443, "/newversion")),
    ("coaps://myvendor", ("coaps", "myvendor", 5684, "/")),
    ("https://example.com:8443/a/b.suit?x=1&y=%20", ("https", "example.com", 8443, "/a/b.suit?x=1&y=%20")),
    ("https://example.com?x", ("https", "example.com", 443, "/?x")),
    ("HTTPS://Example.COM/A", ("https", "Example.COM", 443, "/A")),
    ("https://192.0.2.1:1/", ("https", "192.0.2.1", 1, "/")),
    ("https://[2001:db8::1]/x", ("https", "2001:db8::1", 443, "/x")),
    ("coaps://[::ffff:192.0.2.1]:65535/x", ("coaps", "::ffff:192.0.2.1", 65535, "/x")),
    ("https://a_b-c.d./~x;y=(1)!*',", ("https", "a_b-c.d.", 443, "/~x;y=(1)!*',")),
)
MALFORMED = (
    "", "x", "myvendor/newversion", "//myvendor/x", "/x", "https:", "https:/", "https://", "https:///x", "https://?x", "://host/x",
    "1https://host/x", "ht tps://host", "https://ho st/x", "https://host/a b", " https://host/", "https://host/\t", "https://host/\0",
    "https://host/\n", "https://user@host/x", "https://user:pass@host/x", "https://host:/x", "https://host:0/x",
    "https://host:65536/x", "https://host:123456/x", "https://host:-1/x", "https://host:+1/x", "https://host:8a/x",
    "https://host:1:2/x", "https://host/x#part", "https://host#", "https://h\u00f6st/x", "https://host/\u00e9", "https://[::1",
    "https://[]/x", "https://[host]/x", "https://[::1]x/", "https://[::1%25lo]/x", "https://::1/x", "https://host..name/x",
    "https://.host/x", "https://./x", "https://" + "a" * 64 + "/x", "https://host/%", "https://host/%2", "https://host/%zz",
    "https://ho%73t/x", "https://host/<x>", 'https://host/"', "https://host/\\", "https://host/[x]", "https://host\\x",
    "https://host/" + "x" * 243, "mailto:someone", "ht_tp://host/x", "https://[12]/x", "https://[1:2]/x",
    "https://[::1]8443/x", "https://host:000443/x",
)  # fmt: skip
OTHER = (
    "http://host/x",
    "coap://host/x",
    "ftp://host/x",
    "file:///etc/passwd",
    "httpss://host",
    "coaps+tcp://host/x",
    "http://",
)


def cause(url, schemes=SECURE):
    try:
        parse(url, schemes)
    except Fault as fault:
        assert fault.text
        return fault.result()
    return 0


def test_good_urls():
    for url, parts in GOOD:
        assert parse(url, SECURE) == parts, url


def test_malformed_urls_are_result_6():
    for url in MALFORMED:
        assert cause(url) == 6, url


def test_other_protocols_are_result_7():
    for url in OTHER:
        assert cause(url) == 7, url


def test_length_limit():
    longest = "https://host/" + "x" * 242
    assert len(longest) == 255 and cause(longest) == 0
    assert cause(longest + "x") == 6


def test_the_composition_names_the_protocols():
    assert cause("coap://host/x", ("https", "coap")) == 0
    assert parse("coap://host/x", ("coap",)) == ("coap", "host", 5683, "/x")
    assert cause("coaps://host/x", ("https", "coap")) == 7
    assert cause("https://host/x", ()) == 7


def test_reports_of_the_reference_bug_do_not_apply():
    # The reference's own example server refused every ordinary URL and took a control character.
    assert cause("https://www.example.com") == 0
    assert cause("https://www.example.com\x08") == 6
