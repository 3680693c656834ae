"""On what terms an update is fetched: whom this device believes, and how long it waits. A phase."""

from port import phase


class Limits:
    """Bounds of a fetch; a record of settings may change them. Seconds, bytes a second; `jump` is of the sequence number."""

    connect_s: int
    read_s: int
    min_bps: int
    lag_s: int
    jump: int


# Functions, and no constructors: those would stay in memory as long as what they made.


def limits(settings):
    """The Limits of a device with these `settings`."""
    made = Limits()
    made.connect_s = settings.get("connect_s", 10)
    made.read_s = settings.get("read_s", 15)
    made.min_bps = settings.get("min_bps", 200)
    made.lag_s = settings.get("lag_s", 60)
    made.jump = settings.get("jump", 1_000_000)
    return made


def believe(made, store, nvs):
    """Fill in a firmware.job.Trust: what the device was provisioned with, against what `store` and `nvs` have."""
    found = made.read()
    made.vendor_id, made.class_id, made.threshold = found["vendor"], found["class"], found["threshold"]
    made.number, made.digest = found["trust"]
    made.trusted, made.anchors = found["keys"], found["authorities"]
    made.since, made.floor, made.revoked = 0, 0, ()
    with phase("swupdate.trust") as stores:
        found = stores.load(store, nvs)
    if found:
        made.since, made.floor, made.revoked = found["since"], found["floor"], found["revoked"]
        if found["n"] >= made.number:
            made.number, made.digest, made.threshold = found["n"], found["digest"], found["threshold"]
            made.trusted = found["keys"]
