"""What the head of an HTTPS server's answer means for what was asked: a phase of `https`, which has the rules."""

from port import phase, spent

from swupdate.faults import Fault


async def judge(source, target, url, what):
    """Judge what swupdate.install.head left in `source`, an HttpsSource, that has asked `target` for `what` of `url`.

    (where to ask instead, None): a redirect. Or (None, what the request brings): with a number as `what`, the most that
    the object may have, its size; with (offset, length, entity tag or None) that of the object. Raises Fault.
    """
    (status, length, tag, sent), location, source._keep, refused = source._head
    source._head = None
    source._left = length
    if length < 0:
        refused = refused or "does not say how long its answer is"
    if refused:
        await source.close()
    if status >= 400:
        raise Fault("status", "the server answered %d" % status, status)
    if location and status in (301, 302, 303, 307, 308):
        with phase("swupdate.install.reference") as reference:
            spent(reference)
            return reference.target(target[0], location, ("https",)), None
    if refused:
        raise _lost(refused)
    if isinstance(what, int):
        if status != 200:
            raise _lost("answered %d" % status)
        if length > what:
            raise Fault("invalid", "%s has %d bytes, more than the %d that it may have" % (url, length, what))
        return None, length
    offset, size, etag = what
    if etag and tag and tag != etag:
        raise _lost("has another file at this address now")
    if status == 206:
        if sent != (offset, offset + size - 1) or length != size:
            raise _lost("sent another range than asked for")
    elif status != 200:
        raise _lost("answered %d" % status)
    elif length < offset + size:
        raise _lost("has a file of %d bytes only" % length)
    else:
        await source._skip(offset)
        source._whole = url, tag, length
    return None, tag


def _lost(text):
    return Fault("lost", "the server " + text, 416)
