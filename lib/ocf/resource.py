"""Resources and Properties: a declaration that serves retrieval, validation of UPDATEs and introspection alike."""

from cbor import Pairs
from coap.message import Refused
from port import const

BAD_REQUEST = const(0x80)  # 4.00

BASELINE = "oic.if.baseline"


class Property:
    """One Property of a Resource.

    `kind`: bool, int, float, str, bytes, list or dict. `access`: "r" or "rw". The rules, by keyword: `needed`: an
    UPDATE must have it; `optional`: left out of the representation while it is None; `enum`: the values it may take;
    `minimum` and `maximum` of numbers; `max_length` of text, bytes, arrays and objects (what is accepted) and
    `declared_length` (what introspection says, when a model is stricter than its users); `format`: as in OpenAPI.
    """

    # On the class, because an attribute of an instance costs memory in every Property.
    needed = optional = False
    enum = minimum = maximum = declared_length = format = None
    max_length = 64

    def __init__(self, name, kind, access="r", **rules):
        self.name = name
        self.kind = kind
        self.access = access
        for rule in rules:
            if not hasattr(Property, rule):
                raise TypeError(rule)
            setattr(self, rule, rules[rule])

    def check(self, value):
        """Raise Refused 4.00 when `value` (decoded CBOR) is not one of this Property."""
        kind = self.kind
        # bool is an int here, and is not on MicroPython
        if isinstance(value, bool):
            good = kind is bool
        else:
            good = isinstance(value, kind) or kind is float and isinstance(value, int)
        if not good:
            why = "must be of type " + _TYPES[kind]
        elif self.enum is not None and value not in self.enum:
            why = "must be one of " + ", ".join(str(v) for v in self.enum)
        elif kind in (str, bytes, list, dict) and len(value) > self.max_length:
            why = "is longer than %d" % self.max_length
        # written so that NaN, which compares as false, is out of every range
        elif (self.minimum is not None and not value >= self.minimum) or (
            self.maximum is not None and not value <= self.maximum
        ):
            why = "is out of range"
        else:
            return
        raise Refused(BAD_REQUEST, self.name + " " + why)


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
        """What a RETRIEVE through `interface` gives; None when the query of `request` is not about this Resource.

        Pairs, or a coroutine of them; a Resource that is not discoverable may also give what Device.encode gave.
        """
        if not self.matches(request):
            return None
        found = self.get()
        if interface == BASELINE:
            found = [("rt", self.rt), ("if", self.interfaces)] + found
        return Pairs(found)

    def matches(self, request):
        """Whether this Resource has one of the types (`rt=`) that the query asks for, if it asks for any."""
        found = True
        for part in request.query:
            if part.startswith("rt="):
                if part[3:] in self.rt:
                    return True
                found = False
        return found

    def validate(self, body):
        """Raise Refused unless `body` (a dict) is an UPDATE that the declaration allows; nothing is changed."""
        known = 0
        for p in self.properties:
            name = p.name
            if name in body:
                known += 1
                if p.access == "r":
                    raise Refused(BAD_REQUEST, name + " is read-only")
                p.check(body[name])
            elif p.needed:
                raise Refused(BAD_REQUEST, name + " is missing")
        if known < len(body):
            names = [p.name for p in self.properties]
            for name in body:
                if name not in names:
                    shown = name[:32] if isinstance(name, str) else "a name that is not text"
                    raise Refused(BAD_REQUEST, shown + " is not a Property of this Resource")

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
        """An UPDATE by `request`, as a whole: SVRs whose rules depend on who asks replace it. As `update`, or
        a coroutine."""
        self.validate(body)
        return self.update(body)

    def delete(self, request):
        """A DELETE; refused unless a Resource defines it."""
        raise Refused(0x85, "this Resource cannot be deleted")
