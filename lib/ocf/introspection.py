"""Introspection data: OpenAPI 2.0, made from the Resources' own declarations. A phase: loaded when it is read."""

from cbor import Pairs

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", bytes: "string", list: "array", dict: "object"}


def document(device, title, version):
    """The introspection document of `device` as nested Pairs, ready to be encoded."""
    paths, definitions = [], []
    for resource in device.resources:
        if resource.href in ("/oic/res", "/oc/introspection"):
            continue
        name = resource.rt[0]
        paths.append((resource.href, _path(resource, name)))
        if all(name != known for known, _ in definitions):
            definitions.append((name, _definition(resource)))
    return Pairs(
        [
            ("swagger", "2.0"),
            ("info", Pairs([("title", title), ("version", version)])),
            ("schemes", ["http"]),
            ("consumes", ["application/json"]),
            ("produces", ["application/json"]),
            ("paths", Pairs(paths)),
            ("parameters", Pairs([])),
            ("definitions", Pairs(definitions)),
        ]
    )


def _path(resource, name):
    schema = Pairs([("$ref", "#/definitions/" + name)])
    interfaces = Pairs([("in", "query"), ("name", "if"), ("type", "string"), ("enum", resource.interfaces)])
    answer = Pairs([("200", Pairs([("description", ""), ("schema", schema)]))])
    methods = [("get", Pairs([("parameters", [interfaces]), ("responses", answer)]))]
    if any(p.access == "rw" for p in resource.properties):
        body = Pairs([("name", "body"), ("in", "body"), ("required", True), ("schema", schema)])
        methods.append(("post", Pairs([("parameters", [interfaces, body]), ("responses", answer)])))
    return Pairs(methods)


def _definition(resource):
    properties = [
        ("rt", _common(resource.rt)),
        ("if", _common(resource.interfaces)),
    ]
    for p in resource.properties:
        found = [("type", _TYPES[p.kind])]
        if p.access == "r":
            found.append(("readOnly", True))
        if p.enum is not None:
            found.append(("enum", list(p.enum)))
        if p.kind is str and p.enum is None:
            found.append(("maxLength", p.declared_length))
        for key, value in (("minimum", p.minimum), ("maximum", p.maximum), ("format", p.format)):
            if value is not None:
                found.append((key, value))
        properties.append((p.name, Pairs(found)))
    found = [("type", "object"), ("properties", Pairs(properties))]
    needed = [p.name for p in resource.properties if p.needed]
    if needed:
        found.append(("required", needed))
    return Pairs(found)


def _common(values):
    items = Pairs([("type", "string"), ("enum", list(values))])
    return Pairs([("type", "array"), ("readOnly", True), ("items", items)])
