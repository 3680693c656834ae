"""The DNS packets and names of `swupdate.install.dns`, honest and hostile."""

from check import raises
from swupdate.faults import Fault
from swupdate.install.dns import answer, literal, question
from swupdate.install.reference import locate

QUERY = question("www.Example.org", b"\x12\x34")
NAME = b"\3www\7example\3org\0"
ASKED = NAME + b"\0\1\0\1"
A = b"\0\1\0\1\0\0\0\x3c\0\4"


def packet(*records, flags=b"\x81\x80", ident=b"\x12\x34", asked=ASKED, count=None, questions=1):
    count = len(records) if count is None else count
    return ident + flags + bytes((0, questions, count >> 8, count & 255, 0, 0, 0, 0)) + asked + b"".join(records)


def cname(owner, target):
    return owner + b"\0\5\0\1\0\0\0\x3c" + bytes((0, len(target))) + target


def test_question():
    assert QUERY == b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7Example\3org\0\0\1\0\1"
    assert question("a.", b"..") == question("a", b"..")
    for name in ("", ".", "a..b", ".a", "a" * 64, ".".join(["a" * 62] * 5)):
        with raises(Fault, "no name"):
            question(name, b"..")


def test_address():
    assert answer(packet(b"\xc0\x0c" + A + b"\1\2\3\4"), QUERY) == (0, "1.2.3.4")
    assert answer(packet(NAME + A + b"\1\2\3\4", b"\xc0\x0c" + A + b"\5\6\7\x08"), QUERY) == (0, "1.2.3.4")


def test_no_address():
    assert answer(packet(), QUERY) == (0, None)
    assert answer(packet(flags=b"\x81\x83"), QUERY) == (3, None)
    assert answer(packet(flags=b"\x81\x82"), QUERY) == (2, None)
    assert answer(packet(flags=b"\x83\x80"), QUERY) == (0, None)  # cut off, and nothing in it


def test_aliases_are_followed_in_any_order():
    other = b"\5other\xc0\x10"  # other.example.org
    third = b"\1x\xc0\x18"  # x.org
    first = cname(b"\xc0\x0c", other)
    second = cname(other, third)
    last = third + A + b"\1\2\3\4"
    assert answer(packet(first, second, last), QUERY) == (0, "1.2.3.4")
    assert answer(packet(last, second, first), QUERY) == (0, "1.2.3.4")
    assert answer(packet(first, last), QUERY) == (0, None)  # the chain is broken
    assert answer(packet(cname(b"\xc0\x0c", b"\xc0\x0c")), QUERY) == (0, None)  # round and round


def test_address_of_another_name_is_not_taken():
    assert answer(packet(b"\4evil\3org\0" + A + b"\6\6\6\6"), QUERY) == (0, None)
    assert answer(packet(b"\xc0\x10" + A + b"\6\6\6\6"), QUERY) == (0, None)  # example.org is not www.example.org


def test_other_records_are_passed_over():
    text = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\4\3abc"
    chaos = b"\xc0\x0c\0\1\0\3\0\0\0\x3c\0\4\6\6\6\6"
    short = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\6\6\6"
    assert answer(packet(text, chaos, short, b"\xc0\x0c" + A + b"\1\2\3\4"), QUERY) == (0, "1.2.3.4")


def test_packets_that_answer_something_else():
    good = b"\xc0\x0c" + A + b"\1\2\3\4"
    for wrong in (
        b"",
        b"\x12\x34",
        packet(good, ident=b"\x12\x35"),
        packet(good, flags=b"\x01\x80"),  # a query
        packet(good, flags=b"\x89\x80"),  # another operation
        packet(good, questions=0),
        packet(good, questions=2),
        packet(good, asked=b"\3www\7exbmple\3org\0\0\1\0\1"),
        packet(good, asked=NAME + b"\0\x1c\0\1"),
    ):
        with raises(ValueError):
            answer(wrong, QUERY)


def test_malformed_records():
    for wrong in (
        packet(b"\xc0\x0c" + A + b"\1\2\3"),  # cut off
        packet(b"\xc0\x0c" + A[:7]),
        packet(b"\xc0\x0c" + A + b"\1\2\3\4", count=2),
        packet(b"\xc0\x21" + A + b"\1\2\3\4"),  # a pointer to itself
        packet(b"\xc0\x40" + A + b"\1\2\3\4"),  # forwards
        packet(b"\xc0\x02" + A + b"\1\2\3\4"),  # into the header
        packet(b"\xff\xff" + A + b"\1\2\3\4"),
        packet(b"\x40a\0" + A + b"\1\2\3\4"),  # a reserved kind of label
        packet(b"\x80a\0" + A + b"\1\2\3\4"),
        packet(b"\3ww"),
        packet(b"\xc0"),
        packet((b"\x3f" + b"a" * 63) * 5 + b"\0" + A + b"\1\2\3\4"),  # a name of 320 bytes
        packet(cname(b"\xc0\x0c", b"\x3fabc")),
    ):
        with raises(ValueError):
            answer(wrong, QUERY)


def test_every_prefix_and_every_changed_byte_is_survived():
    whole = packet(cname(b"\xc0\x0c", b"\5other\xc0\x10"), b"\5other\xc0\x10" + A + b"\1\2\3\4")
    assert answer(whole, QUERY) == (0, "1.2.3.4")
    for at in range(len(whole)):
        for changed in (whole[:at], whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :]):
            try:
                answer(changed, QUERY)
            except ValueError:
                pass


def test_long_answers_are_bounded():
    many = [cname(b"\xc0\x0c", b"\xc0\x0c")] * 500
    assert answer(packet(*many), QUERY) == (0, None)


def test_addresses_in_figures():
    for host in ("192.0.2.1", "0.0.0.0", "::1", "2001:db8::1", "1:2:3:4:5:6:7:8", "fe80::"):
        assert literal(host) == host
    for name in ("example.org", "1.example", "a1", "1a.b2c", "x."):
        assert literal(name) is None
    for host in ("1.2.3", "256.1.1.1", "1.2.3.4.5", "01.2.3.4", "1", "1::2::3", "1:2:3", "12345::", ":", "1.2..4"):
        with raises(Fault):
            literal(host)


def test_relative_references():
    base = "https://h:1/a/b?q=/x"
    for reference, expected in (
        ("c", "https://h:1/a/c"),
        ("./c/d?e=f", "https://h:1/a/c/d?e=f"),
        ("/c", "https://h:1/c"),
        ("../c", "https://h:1/c"),
        ("../../../c", "https://h:1/c"),
        ("..", "https://h:1/"),
        (".", "https://h:1/a/"),
        ("//g/c", "https://g/c"),
        ("http://g/c", "http://g/c"),
        ("c?u=http://g", "https://h:1/a/c?u=http://g"),
        ("c#part", "https://h:1/a/c"),
        ("?y", "https://h:1/a/b?y"),
    ):
        assert locate(base, reference) == expected, reference
    assert locate("https://h", "c") == "https://h/c"
