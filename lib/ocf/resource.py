"""Resources and Properties: a declaration that serves retrieval, validation of UPDATEs and introspection alike."""

from coap.message import Refused
from port import const

BAD_REQUEST = const(0x80)  # 4.00

BASELINE = "oic.if.baseline"


class Property:
    """One Property of a Resource.

    `kind`: bool, int, float, str, bytes, list or dict. `access`: "r" or "rw". `needed`: an UPDATE must have it. `enum`:
    the values it may take; `minimum` and `maximum` of numbers; `max_length` of text (what is accepted) and
    `declared_length` (what introspection says, when a model is stricter than its users); `format`: as in OpenAPI.
    """

    def __init__(
        self, name, kind, access="r", needed=False, enum=None, minimum=None, maximum=None, max_length=64,
        declared_length=None, format=None, optional=False,
    ):  # fmt: skip
        self.name = name
        self.kind = kind
        self.access = access
        self.needed = needed
        self.enum = enum
        self.minimum = minimum
        self.maximum = maximum
        self.max_length = max_length
        self.declared_length = declared_length or max_length
        self.format = format
        self.optional = optional

    def check(self, value):
        """Raise Refused when `value` (decoded CBOR) is not one of this Property."""
        kind = self.kind
        is_bool = value is True or value is False  # bool is an int here, and is not on MicroPython
        if kind is float and type(value) is int:
            good = True
        elif kind is bool:
            good = is_bool
        else:
            good = not is_bool and isinstance(value, kind)
        if not good:
            raise Refused(BAD_REQUEST, "%s must be of type %s" % (self.name, _TYPES[kind]))
        if self.enum is not None and value not in self.enum:
            raise Refused(BAD_REQUEST, "%s must be one of %s" % (self.name, ", ".join(str(v) for v in self.enum)))
        if kind in (str, bytes, list, dict) and len(value) > self.max_length:
            raise Refused(BAD_REQUEST, "%s is longer than %d" % (self.name, self.max_length))
        if self.minimum is not None and value < self.minimum or self.maximum is not None and value > self.maximum:
            raise Refused(BAD_REQUEST, "%s is out of range" % self.name)


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", bytes: "bytes", list: "array", dict: "object"}


class Resource:
    """A Resource: what it is stands in class attributes, its Properties' values in attributes of the same names.

    A maker's Resource needs `href`, `rt`, `properties` and, to act on a change, `update`. `device` is set when it is
    added. `dcr` marks a device configuration Resource, which no wildcard of an access control entry covers.
    """

    href = "/"
    rt = ()
    interfaces = ("oic.if.rw", BASELINE)  # the first is the default
    properties = ()
    secure = True
    discoverable = True
    observable = True
    dcr = False
    device = None

    def __init__(self, **values):
        for name in values:
            setattr(self, name, values[name])

    def get(self):
        """(name, value) of every Property, in declared order; an optional one that is None is left out."""
        found = []
        for p in self.properties:
            value = getattr(self, p.name)
            if value is not None or not p.optional:
                found.append((p.name, value))
        return found

    def represent(self, interface, request):
        """What a RETRIEVE through `interface` gives: a list of pairs, or a list of such for a collection."""
        if interface == BASELINE:
            return [("rt", self.rt), ("if", self.interfaces)] + self.get()
        return self.get()

    def validate(self, body):
        """Raise Refused unless `body` (a dict) is an UPDATE that the declaration allows; nothing is changed."""
        for name in body:
            for p in self.properties:
                if p.name == name:
                    break
            else:
                raise Refused(BAD_REQUEST, "%s is not a Property of this Resource" % _shown(name))
            if p.access == "r":
                raise Refused(BAD_REQUEST, "%s is read-only" % name)
            p.check(body[name])
        for p in self.properties:
            if p.needed and p.name not in body:
                raise Refused(BAD_REQUEST, "%s is missing" % p.name)

    def update(self, values):
        """Take an UPDATE that was validated. True makes the answer carry the new representation. Raises Refused."""
        for name in values:
            setattr(self, name, values[name])
        self.notify()

    def notify(self):
        """Tell the observers."""
        if self.device:
            self.device.notify(self)

    def post(self, body, request):
        """An UPDATE by `request`, as a whole: SVRs whose rules depend on who asks replace it. As `update`."""
        self.validate(body)
        return self.update(body)

    def delete(self, request):
        """A DELETE; refused unless a Resource defines it."""
        raise Refused(0x85, "this Resource cannot be deleted")


def _shown(name):
    """A name from the network, fit for a diagnostic text."""
    return name[:32] if isinstance(name, str) else "a name that is not text"
