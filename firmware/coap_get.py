"""A small object over CoAP, whole. A phase."""

from swupdate.faults import Fault


async def get(download, url, limit, pace, buf=None):
    """What comes of `download` (coap.download), which was started: at most `limit` bytes, in `buf` if they have room there.

    Raises Fault, OSError.
    """
    data = buf if buf and len(buf) >= limit else bytearray()
    size = 0
    while True:
        count = await download.available()
        if size + max(count, download.size or 0 if not size else 0) > limit:
            raise Fault("invalid", "%s has more than the %d bytes that it may have" % (url, limit))
        if not count:
            return memoryview(data)[:size]
        if data is not buf:
            data.extend(bytes(count))
        await download.readinto(memoryview(data)[size : size + count])
        pace.got(count)
        size += count
