"""Whether a release that trusted keys have signed may be installed here: its conditions, in a fixed order. A phase."""

from port import bytecode_version, const

from swupdate.faults import Fault
from swupdate.install.manifest import Manifest

_JUMP = const(1_000_000)  # the largest step of the sequence number


def judge(job, data, digest, must=True, damaged=False):
    """The Manifest in `data` (bytes, verified) if it may be installed here, or None when it is not newer than what runs.

    With `must`, a release older than what this device has confirmed is an attempt to roll back and refused; without it
    (availability check) it is simply not newer. When what runs is `damaged`, its own release repairs it. Raises Fault.
    """
    manifest = Manifest(data)
    manifest.digest = digest
    for component in manifest.components:
        if component.vendor != job.trust.vendor_id:
            raise Fault("invalid", "the release is for the devices of another vendor")
        if component.kind != job.trust.class_id:
            raise Fault("invalid", "the release is for another class of device")
    running = job.slots.label(job.slots.running) or {}
    mine = running.get("seq", 0)
    if manifest.seq == mine:
        if bytes(running["manifest"]) != manifest.digest:
            raise Fault("invalid", "another release has the sequence number %d of the running one" % mine)
        if not damaged:
            return None
    # The floor's own release may be installed again: a damaged slot makes the bootloader start an older one.
    known = max(job.floor, mine)
    if manifest.seq < known:
        if must:
            raise Fault("invalid", "version %s is older than what was installed (rollback)" % manifest.version)
        return None
    if manifest.seq - known > getattr(job.limits, "jump", _JUMP):
        raise Fault("invalid", "the sequence number is too far ahead")
    _suits(job, manifest)
    return manifest


def _suits(job, manifest):
    """Refuse what this device has no room for, or could not run, or what has expired."""
    for component in manifest.components:
        size = job.slots.size(component.half)
        if component.size > size:
            text = "version %s does not fit: %s has %d bytes, the slot %d"
            raise Fault("space", text % (manifest.version, component.half, component.size, size))
    # What is not in the release is carried over: an app that runs now, or the firmware that runs it.
    app, firmware = manifest.component("app"), manifest.component("fw")
    has = (firmware.bytecode if firmware else 0) or bytecode_version()
    needs = app.bytecode if app else bytecode_version()
    if needs and needs != has:
        raise Fault("invalid", "the app needs bytecode version %d, the firmware has %d" % (needs, has))
    now = job.clock.now()
    if manifest.expires and now and now > manifest.expires:
        raise Fault("invalid", "version %s has expired" % manifest.version)
