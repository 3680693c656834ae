"""Introspection data: OpenAPI 2.0, made from the Resources' own declarations. A phase: loaded when it is read."""

from cbor import Pairs

from ocf.stream import written

_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object"))


def document(device, title, version):
    """The introspection document of `device` in CBOR: a view of the device's buffer, or of a larger one."""
    return written(device, lambda out: _write(out, device, title, version))


def places(resource, request):
    """One URL of the introspection data for each way in which `resource` is reached."""
    kind = ("content-type", "application/cbor")
    endpoints = resource.device.endpoints
    urls = endpoints(resource, request) if endpoints else ()
    return [Pairs((("protocol", url.split(":")[0]), kind, ("url", url + "/oc/introspection"))) for url in urls]


def _write(out, device, title, version):
    # One Resource at a time: the whole document as objects would be several times its size in CBOR.
    shown = [r for r in device.resources if r.href not in ("/oic/res", "/oc/introspection")]
    defined = []
    found = [_definition_of(resource, defined) for resource in shown]
    out.head(5, 7)
    out.each("swagger", "2.0", "info", Pairs((("title", title), ("version", version))), "schemes", ("http",))
    out.each("consumes", _FORMATS, "produces", _FORMATS, "paths")
    out.head(5, len(shown))
    for i in range(len(shown)):
        out.each(shown[i].href, _path(shown[i], *found[i]))
    out.each("definitions")
    out.head(5, sum(2 if _writable(properties) else 1 for _, properties, _ in defined))
    for name, properties, resource in defined:
        out.each(name, _definition(resource, properties, False))
        if _writable(properties):
            out.each(name + "-update", _definition(resource, properties, True))


_FORMATS = ("application/json",)  # as all OCF models say, whatever is spoken


def _definition_of(resource, defined):
    # (name, properties, Resource): Resources that declare the same share one, which is added to those `defined`.
    properties = resource.properties or ()
    name = resource.rt[0]
    for known in defined:
        if known[1] is properties and known[2].rt == resource.rt:
            return known
        if known[0] == resource.rt[0]:
            name = known[0] + resource.href.replace("/", "-")
    defined.append((name, properties, resource))
    return defined[-1]


def _writable(properties):
    return any(access == "rw" for _name, _kind, access, _rules in properties)


def _path(resource, name, properties, _first):
    interfaces = Pairs((("in", "query"), ("name", "if"), ("type", "string"), ("enum", resource.interfaces)))
    schema = _ref(name)
    answer = Pairs((("200", Pairs((("description", ""), ("schema", schema)))),))
    methods = [("get", Pairs((("parameters", (interfaces,)), ("responses", answer))))]
    if _writable(properties):
        body = Pairs((("in", "body"), ("name", "body"), ("required", True), ("schema", _ref(name + "-update"))))
        methods.append(("post", Pairs((("parameters", (interfaces, body)), ("responses", answer)))))
    return Pairs(methods)


def _ref(name):
    return Pairs((("$ref", "#/definitions/" + name),))


def _definition(resource, properties, update):
    """The schema of the representation, or of the body of an UPDATE."""
    shown = []
    needed = []
    if not update:
        for name, values in (("rt", resource.rt), ("if", resource.interfaces)):
            items = Pairs((("type", "string"), ("enum", values)))
            shown.append((name, Pairs((("type", "array"), ("readOnly", True), ("items", items)))))
    for name, kind, access, rules in properties:
        if update and access == "r":
            continue
        shown.append((name, _property(kind, access, rules)))
        if rules.get("needed") if update else not rules.get("optional"):
            needed.append(name)
    found = [("type", "object"), ("properties", Pairs(shown))]
    if needed:  # OpenAPI allows no empty list
        found.append(("required", needed))
    return Pairs(found)


def _property(kind, access, rules):
    found = [("type", next((name for known, name in _TYPES if known is kind), "string"))]
    if access == "r":
        found.append(("readOnly", True))
    if kind is list:
        found.append(("items", Pairs()))
    elif kind in (str, bytes) and not rules.get("enum"):
        found.append(("maxLength", rules.get("declared_length") or rules.get("max_length", 64)))
    for name in ("enum", "minimum", "maximum", "format"):
        value = rules.get(name)
        if value is not None:
            found.append((name, value))
    return Pairs(found)
