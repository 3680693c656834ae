"""Resources and Properties: a declaration that serves retrieval, validation of UPDATEs and introspection alike."""

from cbor import Pairs
from coap.message import Refused
from port import const, phase

BAD_REQUEST = const(0x80)  # 4.00

BASELINE = "oic.if.baseline"


_RULES = "needed optional enum minimum maximum max_length declared_length format"  # eight texts would take 0.2 KB more
_NO_RULES = {}


def Property(name, kind, access="r", **rules):  # noqa: N802 - a declaration, like a class
    """One Property of a Resource: the tuple (name, kind, access, rules). An object would cost twice its memory.

    `kind`: bool, int, float, str, bytes, list or dict. `access`: "r" or "rw". The rules, by keyword: `needed`: an
    UPDATE must have it; `optional`: left out of the representation while it is None; `enum`: the values it may take;
    `minimum` and `maximum` of numbers; `max_length` of text, bytes, arrays and objects (what is accepted, 64 unless
    told) and `declared_length` (what introspection says, when a model is stricter than its users); `format`: as in OpenAPI.
    """
    for rule in rules:
        if rule not in _RULES.split():
            raise TypeError(rule)
    return name, kind, access, rules or _NO_RULES


def refuse(reason, *about):
    """Raise Refused with the code and the words that `ocf.refusal` has for `reason`."""
    with phase("ocf.refusal") as refusal:
        raise Refused(*refusal.words(reason, *about))


def dressed(resource, interface, found):
    """Pairs of `found`, what `resource` is, as it is seen through `interface`."""
    if interface == BASELINE:
        found = [("rt", resource.rt), ("if", resource.interfaces)] + found
    return Pairs(found)


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
        for name, _kind, _access, rules in self.properties:
            value = getattr(self, name)
            if value is not None or not rules.get("optional"):
                found.append((name, value))
        return found

    def represent(self, interface, request):
        """What a RETRIEVE through `interface` gives; None when the query of `request` is not about this Resource.

        Pairs, or a coroutine of them; a Resource that is not discoverable may also give what Device.encode gave.
        """
        if not self.matches(request):
            return None
        return dressed(self, interface, self.get())

    def matches(self, request):
        """Whether this Resource has one of the types (`rt=`) that the query asks for, if it asks for any."""
        found = True
        for part in request.query:
            if part.startswith("rt="):
                if part[3:] in self.rt:
                    return True
                found = False
        return found

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
        """An UPDATE by `request`, as a whole: Resources whose rules depend on who asks replace it, and have no
        `properties` (None). As `update`, or a coroutine."""
        return self.update(body)

    def delete(self, request):
        """A DELETE; refused unless a Resource defines it."""
        refuse("delete")


class Phased(Resource):
    """A Resource of which a phase, `code()`, is all that it declares, shows and does.

    There: `properties(resource)`, `represent(resource, interface, request)`, and `update(resource, values)` if it can be
    changed.
    """

    @staticmethod
    def code():
        """The phase of the core Resources."""
        return phase("ocf.core")

    @staticmethod
    def discovery():
        """The `code` of /oic/res."""
        return phase("ocf.discovery")

    def represent(self, interface, request):
        """As of any other; for a query that matches no Resource nothing is loaded."""
        for resource in self.device.resources if self.href == "/oic/res" else (self,):
            if resource.matches(request):
                with self.code() as code:
                    return code.represent(self, interface, request)
        return None

    @property
    def properties(self):
        """What it declares."""
        with self.code() as code:
            return code.properties(self)

    def update(self, values):
        """What its phase does. Raises Refused."""
        with self.code() as code:
            return code.update(self, values)
