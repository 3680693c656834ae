"""The end of all notifications that are under way. A phase of the restart."""

from port import sleep_ms, ticks_add, ticks_diff, ticks_ms


async def flush(endpoint, timeout_ms):
    """Wait until every CON notification is acknowledged or given up; False when the time was over before."""
    end = ticks_add(ticks_ms(), timeout_ms)
    while any(observer.waiting for observer in endpoint.observers):
        if ticks_diff(end, ticks_ms()) <= 0:
            return False
        await sleep_ms(5)
    return True
