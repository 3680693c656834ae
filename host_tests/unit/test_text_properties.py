"""Properties of URLs and times, with Python's own urllib and datetime as judges."""

import datetime
import urllib.parse

from hypothesis import assume, given
from hypothesis import strategies as st
from swupdate import rfc3339, url
from swupdate.faults import Fault
from swupdate.install.reference import locate

SCHEMES = ("https", "coaps")
labels = st.text("abcXYZ019-_", min_size=1, max_size=10)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
hosts |= st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
segments = st.text("abcXYZ019-._~!$&'()*+,;=:@", max_size=8)
paths = st.lists(segments, max_size=5).map(lambda parts: "".join("/" + part for part in parts))
queries = st.text("abc019=&/?", max_size=10).map(lambda text: "?" + text) | st.just("")
ports = st.integers(1, 65535).map(lambda port: f":{port}") | st.just("")


@given(st.sampled_from(SCHEMES), hosts, ports, paths, queries)
def test_what_urllib_takes_apart_is_taken_apart_the_same(scheme, host, port, path, query):
    text = f"{scheme}://{host}{port}{path}{query}"
    found = urllib.parse.urlsplit(text)
    rest = (found.path or "/") + query
    assert url.parse(text, SCHEMES) == (scheme, host.strip("[]"), found.port or url.PORTS[scheme], rest)
    assert found.hostname == host.strip("[]").lower()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=127), max_size=60))
def test_what_is_accepted_has_a_host_to_urllib_as_well_and_no_user(text):
    for candidate in (text, "https://" + text, "https://h" + text):
        try:
            scheme, host, port, rest = url.parse(candidate, SCHEMES)
        except Fault as fault:
            assert fault.cause in ("url", "scheme")
            continue
        found = urllib.parse.urlsplit(candidate)
        assert (found.scheme, found.hostname, found.port or url.PORTS[scheme]) == (scheme, host.lower(), port)
        assert found.username is None and found.password is None and not found.fragment
        again = f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}{rest}"
        assert url.parse(again, SCHEMES) == (scheme, host, port, rest), "what was read can be written and read again"


@given(paths, queries, st.lists(st.sampled_from((".", "..", "a", "b.suit", "")), max_size=6).map("/".join), queries)
def test_references_are_located_where_urllib_locates_them(path, query, reference, other):
    assume(not reference.startswith("//") and "//" not in path + reference)  # urllib drops empty segments
    assume(";" not in path)  # and takes what is behind it for RFC 1808's parameters
    assume(not {".", ".."} & set(path.split("/")))  # a package URL that has these means what it means
    base = f"https://example.com{path or '/'}{query}"
    theirs = urllib.parse.urljoin(base, reference + other)
    assume(reference or other.strip("?"))  # an empty reference is the base itself, which nobody asks for
    assert locate(base, reference + other).rstrip("?") == theirs.rstrip("?")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_a_reference_never_leaves_the_host_unless_it_names_one(reference):
    found = locate("https://example.com/a/b", reference)
    if found.startswith("https://example.com/"):
        return
    head = reference.partition("#")[0]
    assert head.startswith("//") or 0 < head.find(":") < min((head + "/").find("/"), (head + "?").find("?"))


zones = st.integers(-1439, 1439).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))
moments = st.datetimes(
    datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=zones | st.just(datetime.UTC)
)


@given(moments)
def test_times_are_those_of_datetime(moment):
    for text in (moment.isoformat(), moment.isoformat(timespec="seconds"), moment.isoformat().lower()):
        expected = moment.replace(microsecond=0)
        assert rfc3339.parse(text) == int((expected - EPOCH).total_seconds())
    utc = expected.astimezone(datetime.UTC).replace(tzinfo=None)
    assert rfc3339.format(rfc3339.parse(text)) == utc.isoformat() + "Z"


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@given(st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,6})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])",
                     fullmatch=True))  # fmt: skip
def test_what_datetime_refuses_is_refused(text):
    """But for the year 0 and leap seconds, which datetime does not know."""
    try:
        theirs = datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        theirs = None
    try:
        ours = rfc3339.parse(text)
    except ValueError:
        assert theirs is None or not 1 < theirs.year < 9999
        return
    if theirs is None:
        assert text[:4] == "0000" or text[17:19] == "60"
    else:
        assert ours == (theirs.replace(microsecond=0) - EPOCH).total_seconds()
