"""Whether a release that trusted keys have signed may be installed here: its conditions, in a fixed order. A phase."""

from port import bytecode_version, const

from swupdate.faults import Fault

_JUMP = const(1_000_000)  # the largest step of the sequence number
_JUMP_TRUST = const(1000)  # and of the number of a trust store
_LARGEST_TRUST = const(1536)  # bytes of it


def judge(job, running, offer, must=True, damaged=False):
    """Whether `offer`, which was verified, may be installed here; False when it is not newer than what runs.

    `running`: the label of the running slot, {} when it has none.

    The numbers of trust stores are their own: one is compared with the trust store in force, and with nothing else.
    With `must`, a release older than what this device has confirmed is an attempt to roll back and refused; without it
    (availability check) it is simply not newer. When what runs is `damaged`, its own release repairs it. Raises Fault.
    """
    for component in offer.parts:
        if component.vendor != job.trust.vendor_id:
            raise Fault("invalid", "the release is for the devices of another vendor")
        if component.kind != job.trust.class_id:
            raise Fault("invalid", "the release is for another class of device")
    store = offer.part("trust")
    if store:
        known = mine = job.trust.number
        same, jump = store.digest == job.trust.digest, _JUMP_TRUST
    else:
        # A number that came before the recovery from a fast-forward counts no more (docs/release-format.md).
        mine = running.get("seq", 0) if running.get("trust", 0) >= job.trust.since else 0
        # The floor's own release may be installed again: a damaged slot makes the bootloader start an older one.
        known = max(job.floor, mine)
        same, jump = bytes(running.get("manifest", b"")) == offer.manifest, getattr(job.limits, "jump", _JUMP)
    if same and not damaged:
        return False
    if offer.seq == mine and not same:
        text = "another release has the sequence number %d of the %s"
        raise Fault("invalid", text % (mine, "trust store in force" if store else "running one"))
    if offer.seq < known:
        if must:
            raise Fault("invalid", "version %s is older than what was installed (rollback)" % offer.version)
        return False
    if offer.seq - known > jump:
        raise Fault("invalid", "the sequence number is too far ahead")
    if store and store.size > _LARGEST_TRUST:
        raise Fault("invalid", "the trust store has more than %d bytes" % _LARGEST_TRUST)
    if not store:
        _suits(job, offer)
    fresh(job.clock, offer.version, offer.expires)
    return True


def fresh(clock, version, expires):
    """Refuse what has expired (`expires`: Unix seconds, 0 for never). Raises Fault."""
    if expires:
        now = clock.now()
        if max(now, clock.floor) > expires:
            raise Fault("invalid", "version %s has expired" % version)
        if not now:  # the network's fault, and tried again: the time may just be on its way
            raise Fault("lost", "version %s expires, and the time is not known" % version)


def _suits(job, offer):
    """Refuse what this device has no room for, or could not run."""
    for component in offer.parts:
        size = job.slots.size(component.half)
        if component.size > size:
            text = "version %s does not fit: %s has %d bytes, the slot %d"
            raise Fault("space", text % (offer.version, component.half, component.size, size))
    # What is not in the release is carried over: an app that runs now, or the firmware that runs it.
    app, firmware = offer.part("app"), offer.part("fw")
    has = (firmware.bytecode if firmware else 0) or bytecode_version()
    needs = app.bytecode if app else bytecode_version()
    if needs and needs != has:
        raise Fault("invalid", "the app needs bytecode version %d, the firmware has %d" % (needs, has))
