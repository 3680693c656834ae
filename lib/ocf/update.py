"""What may stand in an UPDATE, whoever it is for, and whether the Resource's declaration allows it. A phase."""

from cbor.decoder import DecodeError, decode
from port import const

from ocf.resource import refuse

_FORMATS = const((None, 60, 10000))
_LARGEST = const(4096)
_READ_ONLY = const(("oic.if.r", "oic.if.ll", "oic.if.b", "oic.if.s"))


def body(resource, request, interface):
    """The map (dict) that `request` brings for `resource` through `interface`. Raises Refused; nothing is changed."""
    if resource.interfaces[0] in _READ_ONLY:
        refuse("access")
    if interface in _READ_ONLY or not resource.matches(request):
        refuse("query")
    if request.content_format not in _FORMATS:
        refuse("content_format")
    if len(request.payload) > _LARGEST:
        refuse("payload", _LARGEST)
    try:
        found = decode(request.payload)
    except DecodeError as error:
        refuse("decode", error)
    if not isinstance(found, dict):
        refuse("dict")
    properties = resource.properties
    if properties is not None:
        _validate(properties, found)
    return found


def _validate(properties, values):
    known = bad = 0
    for name, kind, access, rules in properties:
        if name in values:
            known += 1
            bad = access == "r" or broken(values[name], kind, rules)
        else:
            bad = rules.get("needed")
        if bad:
            break
    if bad or known < len(values):
        refuse("body", properties, values, broken)


def broken(value, kind, rules):
    """What `value` (decoded CBOR) breaks of a Property: "kind", "enum", "max_length" or "range"; None when it is good."""
    # bool is an int here, and is not on MicroPython
    if isinstance(value, bool):
        good = kind is bool
    else:
        good = isinstance(value, kind) or kind is float and isinstance(value, int)
    if not good:
        return "kind"
    enum = rules.get("enum")
    if enum and value not in enum:
        return "enum"
    if kind in (str, bytes, list, dict):
        return "max_length" if len(value) > rules.get("max_length", 64) else None
    minimum, maximum = rules.get("minimum"), rules.get("maximum")
    # written so that NaN, which compares as false, is out of every range
    good = (minimum is None or value >= minimum) and (maximum is None or value <= maximum)
    return None if good else "range"
