"""A lamp: the smallest useful app. A Client reads and switches it at /lamp.

The contract of an app: `async main(device)` runs for as long as the app lives. Optional: `health()`, asked in a trial;
`pause()` and `resume()`, called around an update so that memory can be given back, or `stop()`, for one that may leave it
(docs/app.md). `device.data` is a folder of its own.
"""

import asyncio

from ocf import Property, Resource


class Lamp(Resource):
    """A binary switch (OCF `oic.r.switch.binary`)."""

    href = "/lamp"
    rt = ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)


lamp = Lamp(value=False)
beats = 0


async def main(device):
    """Add the Resource and count the seconds of this app's life."""
    global beats
    device.add(lamp)
    device.log("info", "the lamp is at /lamp")
    while True:
        await asyncio.sleep(1)
        beats += 1


def health():
    """Well when the loop above goes round."""
    return beats > 0
