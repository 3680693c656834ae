"""/fargo/update: why, how far and which versions, what OCF's Resource has no place for. Read-only. A phase.

It makes both Resources of the update at the start.
"""

from ocf.resource import BASELINE, Phased, dressed
from port import phase

from swupdate.resource import SoftwareUpdate, status


def software_update(updater, **more):
    """OCF's Resource. `more`: its `href`, where it is not /oc/swu."""
    found = SoftwareUpdate(updater=updater, **more)
    updater.watchers.append(found.notify)
    return found


def resource(updater, label):
    """The vendor's Resource. `label`: that of the running slot."""
    found = Phased(
        href="/fargo/update", rt=("x.fargo.update",), interfaces=("oic.if.r", BASELINE), dcr=True, code=status,
        updater=updater, version=label.get("version", ""), seq=label.get("seq", 0),
    )  # fmt: skip
    updater.watchers.append(found.notify)
    updater.progress_watchers.append(found.notify)
    return found


def properties(_resource):
    """What it declares."""
    with phase("swupdate.declared") as declared:
        return declared.STATUS


def represent(resource, interface, _request):
    """The Properties; `done` and `total` in bytes, `seq` the running version's sequence number."""
    u = resource.updater
    return dressed(resource, interface, [
        ("reason", u.state["reason"]),
        ("phase", u.doing),
        ("done", u.done),
        ("total", u.total),
        ("running", resource.version),
        ("offered", u.state["nv"]),
        ("slot", u.slots.running),
        ("seq", resource.seq),
        ("confirmed", u.slots.confirmed),
        ("attempts", u.attempts),
    ])  # fmt: skip
