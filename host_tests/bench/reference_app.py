"""The apps that memory is measured with: one of about 20 KB of `.mpy`, and one that takes 20 KB of heap, code and data.

A plant controller made of drivers with a history, limits and an alarm; the first RESOURCES of them are Resources. The names
of one driver's methods are not another's, as in code that was written by hand. Both may be stopped for an update.
"""

from __future__ import annotations

SENSORS = (
    "temperature", "humidity", "pressure", "moisture", "daylight", "current", "voltage", "level", "flow", "acidity",
    "salinity", "vibration", "noise", "carbon", "rainfall", "wind", "dust", "ozone", "glare", "torque", "depth",
)  # fmt: skip

RESOURCES = 4
FITTING = 11  # drivers, whose code and data take 20 KB of a heap with 32-bit words

_HEAD = '''"""A plant controller."""

import array
import asyncio

import micropython
from ocf import Property, Resource

drivers = []
tasks = []


def publish(driver):
    """Tell the observers of a driver that is a Resource."""
    if isinstance(driver, Resource):
        driver.notify()


'''
_RESOURCE = '''class {Name}(Resource):
    """Measures {name}, keeps the last readings and raises an alarm."""

    href = "/{name}"
    rt = ("oic.r.{name}", "com.example.{name}.history")
    properties = (
        Property("{name}", float, "r"),
        Property("{name}_low", float, "rw", minimum=-100, maximum=1000),
        Property("{name}_high", float, "rw", minimum=-100, maximum=1000),
        Property("alarm", bool, "r"),
        Property("period", int, "rw", minimum=1, maximum=3600),
    )

    def __init__(self, pin, scale=1.0, offset={number}):
        super().__init__(**{{"{name}": 0.0, "{name}_low": -40.0, "{name}_high": 125.0, "alarm": False, "period": {number}}})
'''
_PLAIN = '''class {Name}:
    """Measures {name}, keeps the last readings and raises an alarm."""

    {name}_low = -40.0
    {name}_high = 125.0
    {name} = 0.0
    alarm = False
    period = {number}

    def __init__(self, pin, scale=1.0, offset={number}):
'''
_DRIVER = '''        self.pin = pin
        self.scale = scale
        self.offset = offset
        self.{name}_history = array.array("f", [0.0] * 16)
        self.{name}_at = 0
        self.errors = 0

    def read_{name}_raw(self):
        """What the converter says."""
        value = (self.pin * 2654435761 + self.{name}_at * 40503) & 0x3FF
        if value == 0x3FF:
            self.errors += 1
            raise OSError("the sensor of {name} at pin %d is not connected" % self.pin)
        return value

    def calibrate_{name}(self, low, high):
        """Two known points."""
        if high - low < 1:
            raise ValueError("the points of {name} are too near to each other")
        self.scale = 100.0 / (high - low)
        self.offset = -low * self.scale

    def smooth_{name}(self):
        """The middle of the history, without its extremes."""
        ordered = sorted(self.{name}_history)
        middle = ordered[4:-4]
        total = 0.0
        for value in middle:
            total += value
        return total / len(middle)

    def check_{name}(self):
        """Raise or end the alarm; whether that is news."""
        value = self.smooth_{name}()
        alarm = not self.{name}_low <= value <= self.{name}_high
        changed = alarm != self.alarm or abs(value - self.{name}) > 0.5
        self.alarm = alarm
        setattr(self, "{name}", value)
        return changed

    def describe_{name}(self):
        """For the log."""
        return "{name}: %.1f between %.1f and %.1f%s, %d errors" % (
            self.{name}, self.{name}_low, self.{name}_high, ", alarm" if self.alarm else "", self.errors,
        )

    async def run_{name}(self, device):
        """Measure for ever."""
        while True:
            try:
                raw = self.read_{name}_raw()
            except OSError as error:
                device.log("warning", str(error))
            else:
                self.{name}_history[self.{name}_at] = raw * self.scale + self.offset
                self.{name}_at = (self.{name}_at + 1) % len(self.{name}_history)
                if self.check_{name}():
                    publish(self)
                    device.log("debug", self.describe_{name}())
            await asyncio.sleep(self.period + 3600)


'''
_TAIL = '''
async def main(device):
    """Start all drivers, and say how many names there are."""
    for number, kind in enumerate((%s)):
        driver = kind(number + 1)
        drivers.append(driver)
        if isinstance(driver, Resource):
            device.add(driver)
        tasks.append(asyncio.create_task(getattr(driver, "run_" + kind.__name__.lower())(device)))
    while True:
        micropython.qstr_info()
        await asyncio.sleep(1)


def health():
    """Well while most sensors answer."""
    return sum(driver.errors for driver in drivers) < 100


def stop():
    """An update needs the memory."""
    for task in tasks:
        task.cancel()
'''


def source(drivers: int = len(SENSORS)) -> str:
    """The text of its `app.py`, with so many drivers."""
    kinds = [_RESOURCE if at < RESOURCES else _PLAIN for at in range(drivers)]
    classes = [
        (kind + _DRIVER).format(Name=name.capitalize(), name=name, number=at + 1)
        for at, (kind, name) in enumerate(zip(kinds, SENSORS[:drivers], strict=True))
    ]
    return _HEAD + "".join(classes) + _TAIL % ", ".join(n.capitalize() for n in SENSORS[:drivers])
