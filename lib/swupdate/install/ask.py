"""How a request goes out to an HTTPS server (RFC 9110, 9112): a phase of `https`, which has the rules."""


async def send(source, target, what):
    """Ask `target` for `what`, as swupdate.install.request has them. Raises OSError."""
    _url, host, port, path = target
    extra = ""
    if not isinstance(what, int):
        offset, length, etag = what
        extra = "Range: bytes=%d-%d\r\n" % (offset, offset + length - 1)
        if etag and etag[:1] == b'"':
            extra += "If-Range: %s\r\n" % str(etag, "ascii")
    if ":" in host:
        host = "[%s]" % host
    if port != 443:
        host += ":%d" % port
    await source._stream.write(
        (
            "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fargo\r\nAccept-Encoding: identity\r\n%s\r\n"
            % (path, host, extra)
        ).encode()
    )
