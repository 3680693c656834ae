"""What the benches measure with, the same under CPython and MicroPython: a representation, a signature."""

from cbor import Pairs

# A softwareupdate representation with all its Properties (oic.if.baseline), SIZE bytes of CBOR.
REPRESENTATION = [
    ("rt", ["oic.r.softwareupdate"]),
    ("if", ["oic.if.rw", "oic.if.baseline"]),
    ("nv", "1.10.0"),
    ("purl", "https://updates.example.com/f/lamps.suit"),
    ("swupdateaction", "upgrade"),
    ("swupdatestate", "sva"),
    ("swupdateresult", 0),
    ("lastupdate", "2026-11-20T03:00:00Z"),
    ("signed", "vendor"),
    ("updatetime", "2026-12-01T03:00:00Z"),
    ("p", Pairs([("bm", 3), ("sec", True), ("port", 5684)])),
]
SIZE = 268


def _number(*values):
    return b"".join([value.to_bytes(32, "big") for value in values])


# RFC 6979 A.2.5: the private key, the public one, SHA-256 of "sample", its signature.
PRIVATE = _number(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721)
PUBLIC = _number(
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
DIGEST = _number(0xAF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF)
SIGNATURE = _number(
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)
