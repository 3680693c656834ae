"""Fargo's SUIT profile, read strictly (docs/release-format.md; draft-ietf-suit-manifest-37).

Whatever the profile does not know is refused: a device must not guess at a command that it cannot carry out.
"""

from port import const

from swupdate.install.strict import MALFORMED, UNKNOWN, WRONG, bad, decoded, of, sha_256

_TEXT = const(64)  # bytes of a version: it goes into the slot's label
CHUNK = const(4096)
WINDOW = const(32768)  # bytes of payload in a window; the first one has a chunk
FORMS = const(5)  # in which a payload is offered beside the plain one

# Manifest keys
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


class Component:
    """One half of a slot, "fw" or "app", or "trust", a trust store: `half`. `vendor` and `kind` of the devices that it is
    for (16 bytes each), `size` in bytes, `digest` and `table` (32 bytes), `uri`, `table_uri`, `bytecode`: the `.mpy`
    version that it loads (fw) or needs (app), 0 when not said. `forms`: tuples (uri, lengths of the windows, base: the
    digest of another payload, or b"" for none). A trust store has neither table nor forms."""

    def __init__(self, half, parameters):
        self.half = half
        self.vendor = bytes(of(parameters, _P_VENDOR, memoryview))
        self.kind = bytes(of(parameters, _P_CLASS, memoryview))
        self.size = of(parameters, _P_SIZE, int)
        self.digest = sha_256(of(parameters, _P_DIGEST, memoryview))
        self.uri = of(parameters, _P_URI, str)
        if half == "trust":  # small, and no code
            self.table, self.table_uri, self.bytecode, self.forms = b"", "", 0, ()
            if self.size < 1:
                raise bad(WRONG)
            for key in (P_TABLE, P_TABLE_URI, P_BYTECODE, P_FORMS):
                if key in parameters:
                    raise bad(UNKNOWN)
            return
        self.table = bytes(of(parameters, P_TABLE, memoryview))
        self.table_uri = of(parameters, P_TABLE_URI, str)
        self.bytecode = parameters.get(P_BYTECODE, 0)
        if len(self.table) != 32 or not isinstance(self.bytecode, int) or self.size < 1:
            raise bad(WRONG)
        self.forms = _forms(parameters.get(P_FORMS), self.size)


class Manifest:
    """What a release says of itself: `seq`, `version`, `built`, `expires` (Unix seconds; 0: never), `digest` of the
    manifest (set by who verified it), `components`."""

    def __init__(self, data):
        """Read the manifest in `data` (bytes-like, of which nothing is kept). Raises Fault "invalid"."""
        self.digest = b""
        outer = _map(data, (_VERSION, _SEQUENCE, _COMMON, _VALIDATE, _INSTALL))
        self.seq = of(outer, _SEQUENCE, int)
        if outer.get(_VERSION) != 1:
            raise bad("it is of another version of the format")
        common = _map(of(outer, _COMMON, memoryview), (2, 4))
        halves = [_half(name) for name in of(common, 2, list)]
        parameters = [{} for _ in halves]
        checked = [set() for _ in halves]
        if not halves or len(set(halves)) != len(halves):
            raise bad(UNKNOWN)
        if "trust" in halves and len(halves) > 1:
            raise bad("a trust store comes alone")
        _run(of(common, 4, memoryview), parameters, checked)
        _run(of(outer, _INSTALL, memoryview), parameters, checked)
        _run(of(outer, _VALIDATE, memoryview), parameters, checked)
        for done in checked:
            if len(done) != 4:
                raise bad("it lacks a condition or a fetch for a component")
        self.version = of(parameters[0], P_VERSION, str)
        self.built = of(parameters[0], P_BUILT, int)
        self.expires = parameters[0].get(P_EXPIRES, 0)
        times = isinstance(self.expires, int) and self.built >= 0
        if not times or self.seq < 1 or not 0 < len(self.version.encode()) <= _TEXT:
            raise bad(WRONG)
        self.components = [Component(half, p) for half, p in zip(halves, parameters)]  # noqa: B905 - no `strict` there

    def component(self, half):
        """The Component for `half` (or "trust"), or None when this release does not carry it."""
        for component in self.components:
            if component.half == half:
                return component
        return None


def _run(data, parameters, checked):
    """Walk a command sequence: gather parameters, note which conditions and fetches each component has."""
    commands = decoded(data)
    if not isinstance(commands, list) or len(commands) % 2:
        raise bad(MALFORMED)
    index = 0
    for i in range(0, len(commands), 2):
        command, argument = commands[i], commands[i + 1]
        if command == _OVERRIDE and isinstance(argument, dict):
            for key in argument:
                # Those of each component, and those that stand on the first one.
                if key not in (1, 2, 3, 14, 21, -1, -2, -6, -7) and (index or key not in (-3, -4, -5)):
                    raise bad(UNKNOWN)
                if key in parameters[index]:
                    raise bad("it says the same thing twice")
                parameters[index][key] = argument[key]
        elif not isinstance(argument, int):
            raise bad(UNKNOWN)
        elif command == _COMPONENT and 0 <= argument < len(parameters):
            index = argument
        elif command in (_VENDOR, _CLASS, _IMAGE_MATCH, _FETCH):
            checked[index].add(command)
        else:
            raise bad(UNKNOWN)


def windows(size):
    """How many windows a payload of `size` bytes has."""
    return 1 + (max(size - CHUNK, 0) + WINDOW - 1) // WINDOW


def _forms(found, size):
    """Parameter -7: [[uri, lengths of the windows, 2 bytes each, base], ...], of which one may have no base."""
    if found is None:
        return ()
    forms, bases = [], set()
    if not isinstance(found, list) or not 0 < len(found) <= FORMS:
        raise bad(WRONG)
    for form in found:
        if not isinstance(form, list) or not 2 <= len(form) <= 3:
            raise bad(WRONG)
        uri, lengths, base = form if len(form) == 3 else form + [memoryview(b"")]
        if not isinstance(uri, str) or not isinstance(lengths, memoryview) or not isinstance(base, memoryview):
            raise bad(WRONG)
        if len(lengths) != 2 * windows(size) or len(base) != 32 * (len(form) - 2) or bytes(base) in bases:
            raise bad(WRONG)
        bases.add(bytes(base))
        forms.append((uri, bytes(lengths), bytes(base)))
    return forms


def _half(name):
    for half in ("fw", "app", "trust"):
        if name == [half.encode()]:
            return half
    raise bad(UNKNOWN)


def _map(data, known):
    found = decoded(data)
    if not isinstance(found, dict):
        raise bad(MALFORMED)
    for key in found:
        if key not in known:
            raise bad(UNKNOWN)
    return found
