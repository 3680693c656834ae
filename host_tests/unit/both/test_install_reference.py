"""Relative URLs: RFC 3986 section 5.4, and what releases hold."""

from swupdate.install.reference import locate

BASE = "http://a/b/c/d;p?q"

NORMAL = (
    ("g:h", "g:h"), ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
    ("//g", "http://g"), ("g?y", "http://a/b/c/g?y"), (";x", "http://a/b/c/;x"), ("g;x", "http://a/b/c/g;x"),
    (".", "http://a/b/c/"), ("./", "http://a/b/c/"), ("..", "http://a/b/"), ("../", "http://a/b/"),
    ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../", "http://a/"), ("../../g", "http://a/g"),
    ("?y", "http://a/b/c/d;p?y"), ("g?y/./x", "http://a/b/c/g?y/./x"), ("g?y/../x", "http://a/b/c/g?y/../x"),
)  # fmt: skip
ABNORMAL = (
    ("../../../g", "http://a/g"), ("../../../../g", "http://a/g"), ("/./g", "http://a/g"), ("/../g", "http://a/g"),
    ("g.", "http://a/b/c/g."), (".g", "http://a/b/c/.g"), ("g..", "http://a/b/c/g.."), ("..g", "http://a/b/c/..g"),
    ("./../g", "http://a/b/g"), ("./g/.", "http://a/b/c/g/"), ("g/./h", "http://a/b/c/g/h"), ("g/../h", "http://a/b/c/h"),
    ("g;x=1/./y", "http://a/b/c/g;x=1/y"), ("g;x=1/../y", "http://a/b/c/y"),
)  # fmt: skip


def test_examples_of_the_standard():
    for reference, target in NORMAL + ABNORMAL:
        assert locate(BASE, reference) == target, reference


def test_fragments_are_not_sent():
    assert locate(BASE, "g#s") == "http://a/b/c/g" and locate(BASE, "g?y#s") == "http://a/b/c/g?y"
    assert locate("https://h/x#frag", "g") == "https://h/g"


def test_files_beside_an_envelope():
    for base in ("https://h:8443/r/new.suit", "https://h:8443/r/new.suit?device=7", "https://h:8443/r/"):
        assert locate(base, "0a.bin") == "https://h:8443/r/0a.bin"
    assert locate("https://h", "0a.bin") == "https://h/0a.bin"
    assert locate("https://h/new.suit", "https://other/0a.bin") == "https://other/0a.bin"
    assert locate("coaps://[2001:db8::1]:5684/r/new.suit", "0a.bin") == "coaps://[2001:db8::1]:5684/r/0a.bin"


def test_a_package_url_is_itself():
    for url in ("https://h/r/new.suit", "https://h:1/r/new.suit?a=b", "coap://h/new.suit"):
        assert locate(url, url) == url
