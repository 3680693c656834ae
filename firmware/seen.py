"""The time that has passed for certain, and its record (firmware.clock). A phase of the start, and of setting the clock."""

import cbor
from cbor.decoder import decode
from port import const, ticks_diff, ticks_ms

_REMEMBER_S = const(10000)  # wear: the floor is written at most eight times a day


def load(clock, built):
    """What `clock` begins with: `seen` by the record, the `floor`, and `since` when it is that."""
    clock.seen = _seen(clock.store)
    clock.floor = max(built, clock.seen)
    clock.since = ticks_ms()
    # A clock that ran through a reset is as good as it was before it.
    clock.trusted = 0 < clock.floor <= clock.board.rtc()


def _seen(store):
    """Unix seconds; 0 when there is no record that makes sense."""
    data = store.load("clock")
    try:
        seen = decode(data)["seen"] if data else 0
        return seen if isinstance(seen, int) else 0
    except (ValueError, KeyError, TypeError):
        return 0


def set(clock, unix):
    """What `clock.set` does."""
    if unix < clock.floor:
        return False
    clock.board.set_rtc(unix)
    clock.trusted = True
    now = ticks_ms()
    # Ticks wrap: a long silence may count as a short one, and never as a longer one.
    clock.floor = min(unix, clock.floor + max(0, ticks_diff(now, clock.since)) // 1000)
    clock.since = now
    for listener in clock.on_trusted:
        listener()
    if clock.floor - clock.seen > _REMEMBER_S:
        clock.store.save("clock", cbor.dumps({"v": 1, "seen": clock.floor}))
        clock.seen = clock.floor
    return True
