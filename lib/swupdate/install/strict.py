"""What reads the parts of a release strictly: of the phases `envelope` and `manifest`."""

from cbor.decoder import DecodeError, decode

from swupdate.faults import Fault

UNKNOWN = "it has parts that this device does not know"
WRONG = "a value in it is missing or wrong"
MALFORMED = "it is malformed"
_SHA_256 = -16


def decoded(data):
    """The item in `data`; byte strings are memoryviews of it, for a copy may be a piece larger than the heap has."""
    try:
        return decode(data, strict=True, copy=False)
    except DecodeError as error:
        raise bad(MALFORMED + " (%s)" % error)  # noqa: B904 - no `from` on MicroPython


def of(found, key, kind):
    """The value of `kind` for `key` in the map `found`."""
    value = found.get(key)
    if not isinstance(value, kind) or value is True or value is False:
        raise bad(WRONG)
    return value


def sha_256(data):
    """The 32 bytes in an encoded SUIT_Digest."""
    found = decoded(data)
    if isinstance(found, list) and len(found) == 2 and found[0] == _SHA_256:
        found = found[1]
        if isinstance(found, memoryview) and len(found) == 32:
            return bytes(found)
    raise bad("a digest is not SHA-256")


def bad(text):
    """The Fault of a release that is refused."""
    return Fault("invalid", "the release is refused: " + text)
