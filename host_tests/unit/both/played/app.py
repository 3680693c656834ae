"""The maker's app of test_app.py, which has told it what to do in the module `played_script`."""

import asyncio

import played_part
import played_script as script
from ocf import Property, Resource

script.loaded()


class Lamp(Resource):
    """A lamp."""

    href = "/lamp"
    rt = ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)


lamp = Lamp(value=played_part.VALUE)


async def main(device):
    """Until it is ended."""
    device.add(lamp)
    script.said("main")
    try:
        await script.work()
    except asyncio.CancelledError:
        script.said("ended")
        if script.stubborn:
            await asyncio.sleep(60)
        if script.untidy:
            raise ValueError("untidy") from None
        raise


def health():
    """Always."""
    return True


def pause():
    """Heard."""
    script.said("pause")


def resume():
    """Heard."""
    script.said("resume")


def reset():
    """Heard."""
    script.said("reset")


if script.stop:

    def stop():
        """As the test has it."""
        script.said("stop")
        return script.stop()
