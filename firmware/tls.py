"""What all TLS connections of an update have in common. A phase."""

from port import collect, phase
from port.peer import tls_context


def prepare(job):
    """Make of the authorities of `job` (firmware.job) what TLS wants, where `job.room` was. Raises Fault."""
    try:
        if job.room:
            job.room.clear()
            collect()
        job.trust.anchors = tls_context(job.trust.anchors)
    except ValueError as error:
        with phase("swupdate.install.lost") as lost:
            raise lost.fault(error, "") from None
