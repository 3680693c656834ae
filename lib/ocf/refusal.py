"""Why a request is refused, in words. A phase: loaded when one is."""

from port import const

from ocf.resource import BAD_REQUEST

_METHOD = const(0x85)  # not allowed
# What Resources and the Device call it -> CoAP code, words
_WORDS = {
    "access": (_METHOD, "this Resource is for reading"),
    "accept": (0x86, "only content formats 60 and 10000 can be had"),
    "code": (_METHOD, "only RETRIEVE and UPDATE"),
    "content_format": (0x8F, "the content format must be 60 or 10000"),
    "decode": (BAD_REQUEST, "the payload is not CBOR: %s"),
    "delete": (_METHOD, "this Resource cannot be deleted"),
    "dict": (BAD_REQUEST, "the payload is not a map"),
    "if": (BAD_REQUEST, "this Resource has no such Interface"),
    "payload": (0x8D, "the payload is longer than %d"),
    "query": (BAD_REQUEST, "the query is not for an UPDATE of this Resource"),
    "rt": (BAD_REQUEST, "nothing matches the query"),
    "store": (0xA0, "the name could not be stored: %s"),
}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", bytes: "bytes", list: "array", dict: "object"}


def words(reason, *about):
    """(CoAP code, text) of a refusal."""
    if reason == "body":
        return BAD_REQUEST, _why(*about)
    code, text = _WORDS[reason]
    return code, text % about if about else text


def _why(properties, body, broken):
    """What is wrong with the UPDATE `body` of a Resource that declares `properties`; `broken` is ocf.update's."""
    for name, kind, access, rules in properties:
        if name in body:
            if access == "r":
                return name + " is read-only"
            rule = broken(body[name], kind, rules)
            if rule:
                return name + " " + _words(rule, kind, rules)
        elif rules.get("needed"):
            return name + " is missing"
    names = [p[0] for p in properties]
    name = next(name for name in body if name not in names)
    shown = name[:32] if isinstance(name, str) else "a name that is not text"
    return shown + " is not a Property of this Resource"


def _words(rule, kind, rules):
    if rule == "kind":
        return "must be of type " + _TYPES[kind]
    if rule == "enum":
        return "must be one of " + ", ".join(str(value) for value in rules["enum"])
    if rule == "max_length":
        return "is longer than %d" % rules.get("max_length", 64)
    return "is out of range"
