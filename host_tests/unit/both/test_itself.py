"""`swupdate.itself`: addresses that a package URL must not lead to."""

from check import raises
from swupdate.faults import Fault
from swupdate.itself import refuse

OWN = "192.168.1.20"
ITSELF = (
    OWN, OWN + ".", "127.0.0.1", "127.255.1.2", "0.0.0.0", "0.1.2.3", "::", "::1", "0:0:0:0:0:0:0:1", "::7f00:1",
    "::127.0.0.1", "::ffff:127.0.0.1", "::FFFF:7f00:0001", "::ffff:c0a8:114", "::ffff:192.168.1.20",
    "0:0:0:0:0:ffff:c0a8:0114", "::0.0.0.0",
)  # fmt: skip
NO_HOST = (
    "224.0.1.187", "239.1.2.3", "240.0.0.1", "255.255.255.255", "ff02::158", "FF0E::1", "ffff::", "::ffff:224.0.0.1",
    "::ffff:ffff:ffff", "999.1.1.1",
)  # fmt: skip
OTHERS = (
    "192.168.1.2", "192.168.1.200", "10.0.0.1", "1.1.1.1", "223.255.255.255", "2001:db8::1", "fe80::1", "1::", "::1:0:0:0",
    "example.org", "127.example", "0.example.org", "localhost", "a", "me.", "fd00::7f00:1",
    "1:2:3:4:5:6:7:8",
)  # fmt: skip


def test_the_device_itself():
    for host in ITSELF:
        with raises(Fault, "leads to this device itself") as caught:
            refuse(host, OWN)
        assert caught.value.result() == 6, host


def test_no_single_host():
    for host in NO_HOST:
        with raises(Fault, "leads to no single host") as caught:
            refuse(host, OWN)
        assert caught.value.result() == 6, host


def test_all_others():
    for host in OTHERS:
        assert refuse(host, OWN) is None, host


def test_a_device_in_the_loopback():
    """The simulated board: it is one of many there."""
    for host in ("127.0.0.1", "127.7.0.3", "::ffff:127.0.0.1", "::1"):
        assert refuse(host, "127.7.0.2") is None
    for host in ("127.7.0.2", "::ffff:127.7.0.2", "0.0.0.0", "::"):
        with raises(Fault, "itself"):
            refuse(host, "127.7.0.2")


def test_what_is_no_address():
    for host in (":::", "1::2::3", "12345::zz", ":1"):
        with raises(Fault):
            refuse(host, OWN)
