"""The restart into another slot. A phase of its own."""

from port import print_exception

from swupdate import arming
from swupdate.faults import RESULTS, Fault


async def restart(updater, slot):
    """Have `slot` tried at the next start, and restart; when it could not be armed, the event that says so."""
    valid = arming.valid(updater.slots, slot)
    try:
        if not updater.saved:
            raise Fault("flash", "the record could not be written")
        arming.arm(updater.slots)
    except Exception as error:  # noqa: BLE001 - nothing was armed: go on with what runs
        return ("failed", RESULTS["install"], str(error), valid)
    try:
        if updater.flush:
            await updater.flush()
    except Exception as error:  # noqa: BLE001 - observers will see it after the restart
        print_exception(error)
    updater.reboot()
    return None
