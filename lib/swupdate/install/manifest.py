"""Fargo's SUIT profile, read strictly (docs/release-format.md; draft-ietf-suit-manifest-37).

Whatever the profile does not know is refused: a device must not guess at a command that it cannot carry out.
"""

import hashlib

from cbor.decoder import DecodeError, Tag, decode
from port import const

from swupdate.faults import Fault

ENVELOPE_LIMIT = const(4096)
_ENVELOPE_TAG = const(107)
_SIGN1_TAG = const(18)
_SHA_256 = const(-16)
_ES256 = b"\xa1\x01\x26"  # the protected header {1: -7}
_SIGNATURES = const(3)
_SIGNATURES_TRUST = const(6)  # of a trust store: by keys of the old one, and by keys of the new one
_TRUST = b"\x81\x81\x45trust"  # its list of components; whoever has it stand elsewhere gains three signatures
_TEXT = const(64)  # bytes of a version: it goes into the slot's label
CHUNK = const(4096)
WINDOW = const(32768)  # bytes of payload in a window; the first one has a chunk
FORMS = const(5)  # in which a payload is offered beside the plain one

# Envelope and manifest keys
_AUTHENTICATION = const(2)
_MANIFEST = const(3)
_VERSION = const(1)
_SEQUENCE = const(2)
_COMMON = const(3)
_VALIDATE = const(7)
_INSTALL = const(20)

# Commands
_VENDOR = const(1)
_CLASS = const(2)
_IMAGE_MATCH = const(3)
_COMPONENT = const(12)
_OVERRIDE = const(20)
_FETCH = const(21)

# Parameters: those of the draft, and ours below zero
_P_VENDOR = const(1)
_P_CLASS = const(2)
_P_DIGEST = const(3)
_P_SIZE = const(14)
_P_URI = const(21)
P_TABLE = const(-1)
P_TABLE_URI = const(-2)
P_VERSION = const(-3)  # this and the next two stand on the first component
P_BUILT = const(-4)
P_EXPIRES = const(-5)
P_BYTECODE = const(-6)
P_FORMS = const(-7)

_UNKNOWN = "it has parts that this device does not know"
_WRONG = "a value in it is missing or wrong"
_MALFORMED = "it is malformed"


class Component:
    """One half of a slot, "fw" or "app", or "trust", a trust store: `half`. `vendor` and `kind` of the devices that it is
    for (16 bytes each), `size` in bytes, `digest` and `table` (32 bytes), `uri`, `table_uri`, `bytecode`: the `.mpy`
    version that it loads (fw) or needs (app), 0 when not said. `forms`: tuples (uri, lengths of the windows, base: the
    digest of another payload, or b"" for none). A trust store has neither table nor forms."""

    def __init__(self, half, parameters):
        self.half = half
        self.vendor = _of(parameters, _P_VENDOR, bytes)
        self.kind = _of(parameters, _P_CLASS, bytes)
        self.size = _of(parameters, _P_SIZE, int)
        self.digest = _digest(_of(parameters, _P_DIGEST, bytes))
        self.uri = _of(parameters, _P_URI, str)
        if half == "trust":  # small, and no code
            self.table, self.table_uri, self.bytecode, self.forms = b"", "", 0, ()
            if self.size < 1:
                raise _bad(_WRONG)
            for key in (P_TABLE, P_TABLE_URI, P_BYTECODE, P_FORMS):
                if key in parameters:
                    raise _bad(_UNKNOWN)
            return
        self.table = _of(parameters, P_TABLE, bytes)
        self.table_uri = _of(parameters, P_TABLE_URI, str)
        self.bytecode = parameters.get(P_BYTECODE, 0)
        if len(self.table) != 32 or not isinstance(self.bytecode, int) or self.size < 1:
            raise _bad(_WRONG)
        self.forms = _forms(parameters.get(P_FORMS), self.size)


class Manifest:
    """What a release says of itself: `seq`, `version`, `built`, `expires` (Unix seconds; 0: never), `digest` of the
    manifest (set by who verified it), `components`."""

    def __init__(self, data):
        """Read the manifest in `data` (bytes). Raises Fault "invalid"."""
        self.digest = b""
        outer = _map(data, (_VERSION, _SEQUENCE, _COMMON, _VALIDATE, _INSTALL))
        self.seq = _of(outer, _SEQUENCE, int)
        if outer.get(_VERSION) != 1:
            raise _bad("it is of another version of the format")
        common = _map(_of(outer, _COMMON, bytes), (2, 4))
        halves = [_half(name) for name in _of(common, 2, list)]
        parameters = [{} for _ in halves]
        checked = [set() for _ in halves]
        if not halves or len(set(halves)) != len(halves):
            raise _bad(_UNKNOWN)
        if "trust" in halves and len(halves) > 1:
            raise _bad("a trust store comes alone")
        _run(_of(common, 4, bytes), parameters, checked)
        _run(_of(outer, _INSTALL, bytes), parameters, checked)
        _run(_of(outer, _VALIDATE, bytes), parameters, checked)
        for done in checked:
            if len(done) != 4:
                raise _bad("it lacks a condition or a fetch for a component")
        self.version = _of(parameters[0], P_VERSION, str)
        self.built = _of(parameters[0], P_BUILT, int)
        self.expires = parameters[0].get(P_EXPIRES, 0)
        times = isinstance(self.expires, int) and self.built >= 0
        if not times or self.seq < 1 or not 0 < len(self.version.encode()) <= _TEXT:
            raise _bad(_WRONG)
        self.components = [Component(half, p) for half, p in zip(halves, parameters)]  # noqa: B905 - no `strict` there

    def component(self, half):
        """The Component for `half` (or "trust"), or None when this release does not carry it."""
        for component in self.components:
            if component.half == half:
                return component
        return None


def split(envelope):
    """(manifest bytes, SUIT_Digest bytes, signatures) of an envelope; signatures: list of (kid, protected, signature).

    The manifest's digest is checked here; who signed it is for the policy. Raises Fault "invalid".
    """
    if len(envelope) > ENVELOPE_LIMIT:
        raise _bad("it is larger than %d bytes" % ENVELOPE_LIMIT)
    outer = _tagged(envelope, _ENVELOPE_TAG, dict)
    if outer is None:
        raise _bad("it is no SUIT envelope")
    if len(outer) != 2:
        raise _bad(_UNKNOWN)
    manifest = _of(outer, _MANIFEST, bytes)
    blocks = _decoded(_of(outer, _AUTHENTICATION, bytes))
    most = _SIGNATURES_TRUST if _TRUST in manifest else _SIGNATURES
    if not isinstance(blocks, list) or not 2 <= len(blocks) <= 1 + most:
        raise _bad("it must have 1 to %d signatures" % most)
    for block in blocks:
        if not isinstance(block, bytes):
            raise _bad(_MALFORMED)
    if digest(manifest) != _digest(blocks[0]):
        raise _bad("its manifest was changed")
    return manifest, blocks[0], [signature(block) for block in blocks[1:]]


def digest(manifest):
    """SHA-256 of the manifest as it stands in the envelope, in its byte string."""
    size = len(manifest)
    if size > 255:
        head = bytes((0x59, size >> 8, size & 0xFF))
    else:
        head = bytes((0x58, size)) if size > 23 else bytes((0x40 | size,))
    sha = hashlib.sha256(head)
    sha.update(manifest)  # not joined: it may be 4 KB
    return sha.digest()


def signature(block):
    """(kid, protected header, signature) of an encoded COSE_Sign1 with ES256. Raises Fault "invalid"."""
    sign1 = _tagged(block, _SIGN1_TAG, list)
    if sign1 and len(sign1) == 4:
        protected, unprotected, payload, both = sign1
        kid = unprotected.get(4) if isinstance(unprotected, dict) and len(unprotected) == 1 else None
        good = protected == _ES256 and payload is None and isinstance(kid, bytes) and isinstance(both, bytes)
        if good and len(both) == 64:
            return kid, protected, both
    raise _bad("a signature is not of the form that this device knows (ES256)")


def _run(data, parameters, checked):
    """Walk a command sequence: gather parameters, note which conditions and fetches each component has."""
    commands = _decoded(data)
    if not isinstance(commands, list) or len(commands) % 2:
        raise _bad(_MALFORMED)
    index = 0
    for i in range(0, len(commands), 2):
        command, argument = commands[i], commands[i + 1]
        if command == _OVERRIDE and isinstance(argument, dict):
            for key in argument:
                # Those of each component, and those that stand on the first one.
                if key not in (1, 2, 3, 14, 21, -1, -2, -6, -7) and (index or key not in (-3, -4, -5)):
                    raise _bad(_UNKNOWN)
                if key in parameters[index]:
                    raise _bad("it says the same thing twice")
                parameters[index][key] = argument[key]
        elif not isinstance(argument, int):
            raise _bad(_UNKNOWN)
        elif command == _COMPONENT and 0 <= argument < len(parameters):
            index = argument
        elif command in (_VENDOR, _CLASS, _IMAGE_MATCH, _FETCH):
            checked[index].add(command)
        else:
            raise _bad(_UNKNOWN)


def windows(size):
    """How many windows a payload of `size` bytes has."""
    return 1 + (max(size - CHUNK, 0) + WINDOW - 1) // WINDOW


def _forms(found, size):
    """Parameter -7: [[uri, lengths of the windows, 2 bytes each, base], ...], of which one may have no base."""
    if found is None:
        return ()
    forms, bases = [], set()
    if not isinstance(found, list) or not 0 < len(found) <= FORMS:
        raise _bad(_WRONG)
    for form in found:
        if not isinstance(form, list) or not 2 <= len(form) <= 3:
            raise _bad(_WRONG)
        uri, lengths, base = form if len(form) == 3 else form + [b""]
        if not isinstance(uri, str) or not isinstance(lengths, bytes) or not isinstance(base, bytes):
            raise _bad(_WRONG)
        if len(lengths) != 2 * windows(size) or len(base) != 32 * (len(form) - 2) or base in bases:
            raise _bad(_WRONG)
        bases.add(base)
        forms.append((uri, lengths, base))
    return forms


def _half(name):
    for half in ("fw", "app", "trust"):
        if name == [half.encode()]:
            return half
    raise _bad(_UNKNOWN)


def _digest(data):
    found = _decoded(data)
    if isinstance(found, list) and len(found) == 2 and found[0] == _SHA_256:
        found = found[1]
        if isinstance(found, bytes) and len(found) == 32:
            return found
    raise _bad("a digest is not SHA-256")


def _tagged(data, number, kind):
    """The value of the tag `number` that `data` holds, or None when it is not that, or not of `kind`."""
    found = _decoded(data)
    if isinstance(found, Tag) and found.number == number and isinstance(found.value, kind):
        return found.value
    return None


def _map(data, known):
    found = _decoded(data)
    if not isinstance(found, dict):
        raise _bad(_MALFORMED)
    for key in found:
        if key not in known:
            raise _bad(_UNKNOWN)
    return found


def _of(found, key, kind):
    value = found.get(key)
    if not isinstance(value, kind) or value is True or value is False:
        raise _bad(_WRONG)
    return value


def _decoded(data):
    try:
        return decode(data, strict=True)
    except DecodeError as error:
        raise _bad(_MALFORMED + " (%s)" % error)  # noqa: B904 - no `from` on MicroPython


def _bad(text):
    return Fault("invalid", "the release is refused: " + text)
