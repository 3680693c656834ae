"""Why an UPDATE is refused, in words. A phase: loaded when one is."""

from ocf.resource import broken

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", bytes: "bytes", list: "array", dict: "object"}


def why(properties, body):
    """What is wrong with the UPDATE `body` of a Resource that declares `properties`."""
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
