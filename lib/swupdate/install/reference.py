"""What a relative URL stands for (RFC 3986, section 5). A phase."""

from swupdate import url as urls


def target(base, reference, schemes):
    """(URL, host, port, rest) of what `reference` stands for at the URL `base`, see swupdate.url.parse. Raises Fault."""
    url = locate(base, reference)
    _scheme, host, port, rest = urls.parse(url, schemes)
    return url, host, port, rest


def locate(base, reference):
    """`reference`, absolute or relative to the URL `base` (RFC 3986 section 5): an absolute URL, not yet checked."""
    reference = reference.partition("#")[0]
    scheme, _, rest = base.partition("://")
    mark = reference.find(":")
    if mark > 0 and not any(c in reference[:mark] for c in "/?"):
        return reference
    if reference[:2] == "//":
        return scheme + ":" + reference
    rest = rest.partition("?")[0]
    host, _, path = rest.partition("/")
    target, mark, query = reference.partition("?")
    if target[:1] == "/":
        path = target[1:]
    elif target:
        path = path[: path.rfind("/") + 1] + target
    kept = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if kept:
                kept.pop()
        elif part != ".":
            kept.append(part)
    if parts[-1] in (".", ".."):
        kept.append("")
    return scheme + "://" + host + "/" + "/".join(kept) + mark + query
