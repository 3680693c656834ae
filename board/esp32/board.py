"""The ESP32, through MicroPython's modules `esp32`, `machine` and `network`. The simulated board offers the same ones."""

import time

import esp32
import machine
import network
from port import const, memory_free, phase

_EPOCH_2000 = const(946_684_800)  # seconds from 1970 to 2000: the ESP32's epoch is not everywhere the same
_UNSET = const(1_700_000_000)  # a clock that shows less was never set
_NONE = "0.0.0.0"
_EIO = const(5)
_ECORRUPT = const(84)
_TRIES = const(3)  # of a read
_OTHERS = const(35_600)  # bytes of ESP-IDF's heap beside a Python heap of 112 KB: WiFi and a TLS connection take them
_RADIO = const(4096)  # bytes: with less beside the Python heap, no packet arrives any more


class Data:
    """The partition `data`, as LittleFS wants it: what fails is a number.

    An exception would leave LittleFS in the middle of what it does. It takes another block for one that cannot be erased
    or programmed. What cannot be read is not called corrupt, for then it would go back to an older state.
    """

    def __init__(self, partition):
        self._partition = partition

    def readblocks(self, block, buf, offset=0):
        for _ in range(_TRIES):
            try:
                return self._partition.readblocks(block, buf, offset)
            except OSError:
                pass
        return -_EIO

    def writeblocks(self, block, buf, offset=0):
        try:
            return self._partition.writeblocks(block, buf, offset)
        except OSError:
            return -_ECORRUPT

    def ioctl(self, command, argument):
        try:
            return self._partition.ioctl(command, argument)
        except OSError:
            return -_ECORRUPT


class Board:
    """What the composition needs of a board (docs/architecture.md, The board)."""

    def __init__(self):
        self.wlan = network.WLAN(network.STA_IF)
        self._partitions = {}
        self._address = _NONE

    # Flash

    def partition(self, label):
        """The partition `label`. Raises OSError when there is none."""
        if label not in self._partitions:
            for kind in (esp32.Partition.TYPE_APP, esp32.Partition.TYPE_DATA):
                for found in esp32.Partition.find(kind, label=label):
                    self._partitions[label] = found
        if label not in self._partitions:
            raise OSError(2, label)
        return self._partitions[label]

    def running(self):
        """The label of the slot that runs."""
        return esp32.Partition(esp32.Partition.RUNNING).info()[4]

    # Resets

    def reset(self):
        """Restart; does not return."""
        machine.reset()

    def watchdog(self, ms):
        """The watchdog, with `feed()`."""
        return machine.WDT(timeout=ms)

    # Network

    async def join(self):
        """Join the WiFi whose name and key are in NVS; waits as long as it takes, with growing pauses."""
        with phase("board_start") as code:
            await code.join(self.wlan)

    @property
    def joined(self):
        """Whether the network is there now."""
        return self.wlan.isconnected()

    def address(self):
        """The device's IPv4 address; while the network is lost, what it was."""
        found = self.wlan.ifconfig()[0]
        if found != _NONE:
            self._address = found
        return self._address

    def dns(self):
        """The network's name server."""
        return self.wlan.ifconfig()[3]

    def deaf(self):
        """Whether the Python heap has grown into what the radio needs: nothing tells that but this."""
        try:
            return sum([area[1] for area in esp32.idf_heap_info(esp32.HEAP_DATA)]) < _RADIO
        except MemoryError:  # there is none even to ask: the heap could not grow
            return True

    def spare(self):
        """Bytes in the largest free piece of the memory that WiFi and TLS live in. The Python heap grows into it, too."""
        return max([area[2] for area in esp32.idf_heap_info(esp32.HEAP_DATA)])

    def left(self):
        """Bytes that the Python heap has left. Where it grows into that memory, what WiFi and TLS need is not counted."""
        free = memory_free()
        return free - _OTHERS if free > self.spare() else free

    # Clock

    def rtc(self):
        """Unix seconds, or 0 when the clock was never set."""
        now = time.time()
        if time.gmtime(0)[0] == 2000:
            now += _EPOCH_2000
        return now if now > _UNSET else 0

    def set_rtc(self, unix):
        """Set the clock to Unix seconds."""
        t = time.gmtime(unix - _EPOCH_2000 if time.gmtime(0)[0] == 2000 else unix)
        machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))
