"""A small object over CoAP, whole. A phase."""

from swupdate.faults import Fault


async def get(download, url, limit, pace):
    """What comes of `download` (coap.download), which was started: at most `limit` bytes. Raises Fault, OSError."""
    data = bytearray()
    while True:
        count = await download.available()
        if len(data) + max(count, download.size or 0 if not data else 0) > limit:
            raise Fault("invalid", "%s has more than the %d bytes that it may have" % (url, limit))
        if not count:
            return data
        part = bytearray(count)
        await download.readinto(memoryview(part))
        pace.got(count)
        data.extend(part)
