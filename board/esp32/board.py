"""The ESP32, through MicroPython's modules `esp32`, `machine` and `network`. The simulated board offers the same ones."""

import time

import esp32
import machine
import network
import vfs
from port import const, sleep_ms, urandom

_BLOCK = const(4096)
_EPOCH_2000 = const(946_684_800)  # seconds from 1970 to 2000: the ESP32's epoch is not everywhere the same
_UNSET = const(1_700_000_000)  # a clock that shows less was never set
_DATA = "/data"
_NONE = "0.0.0.0"
_EIO = const(5)
_ECORRUPT = const(84)
_TRIES = const(3)  # of a read
_CAUSES = {1: "power", 2: "reset", 3: "watchdog", 4: "reset", 5: "soft"}


class _Data:
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
        self._wlan = network.WLAN(network.STA_IF)
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

    def otadata(self):
        """The partition that says which slot to boot."""
        return self.partition("otadata")

    def set_boot(self, label):
        """Have `label` booted next. Raises OSError when its image is refused."""
        self.partition(label).set_boot()

    def mark_valid(self):
        """Keep the running image."""
        esp32.Partition.mark_app_valid_cancel_rollback()

    def mount_data(self):
        """Mount the file system of all mutable state; format it when it cannot be. Its path."""
        try:
            vfs.mount(vfs.VfsLfs2(_Data(self.partition("data"))), _DATA)
        except OSError as error:
            print("warning: data holds no file system (%s): it is made anew, there is no owner" % error)
            self.format_data()
        return _DATA

    def format_data(self):
        """Make that file system anew. When the flash refuses there is none: nothing is found there, nothing can be kept."""
        try:
            vfs.umount(_DATA)
        except OSError:  # it was not mounted
            pass
        device = _Data(self.partition("data"))
        try:
            vfs.VfsLfs2.mkfs(device)
            vfs.mount(vfs.VfsLfs2(device), _DATA)
        except OSError as error:
            print("error: data cannot be written (%s): nothing is kept" % error)

    def nvs(self):
        """The key-value store that holds the copy of the sequence floor."""
        return esp32.NVS("fargo")

    # Resets

    def reset(self):
        """Restart; does not return."""
        machine.reset()

    def reset_cause(self):
        """ "power", "watchdog", "reset" or "soft"."""
        return _CAUSES.get(machine.reset_cause(), "reset")

    def watchdog(self, ms):
        """The watchdog, with `feed()`."""
        return machine.WDT(timeout=ms)

    def unique_id(self):
        """Bytes that no other chip has."""
        return machine.unique_id()

    def pin(self, number, button=False):
        """A pin with `value()`: an output, or the input of a button to ground. Raises ValueError when there is none."""
        Pin = machine.Pin
        return Pin(number, Pin.IN, Pin.PULL_UP) if button else Pin(number, Pin.OUT)

    # Network

    async def join(self):
        """Join the WiFi whose name and key are in NVS; waits as long as it takes, with growing pauses.

        Up to half as long again by chance: after a power failure the devices of a house do not ask all at once.
        """
        wlan = self._wlan
        wlan.active(True)
        tenths = 50
        while not wlan.isconnected():
            tenths = min(tenths * 2, 600)
            try:
                name, key = self._credentials()
                wlan.config(reconnects=1)  # a short loss is the radio's own; all else is this loop's
                wlan.connect(name, key)
            except OSError as error:  # none was provisioned, or a radio that is not ready yet
                print("warning: the WiFi cannot be asked (%s)" % error)
            for _ in range(tenths + tenths * urandom(1)[0] // 512):
                if wlan.isconnected():
                    break
                await sleep_ms(100)

    @property
    def joined(self):
        """Whether the network is there now."""
        return self._wlan.isconnected()

    def address(self):
        """The device's IPv4 address; while the network is lost, what it was."""
        found = self._wlan.ifconfig()[0]
        if found != _NONE:
            self._address = found
        return self._address

    def dns(self):
        """The network's name server."""
        return self._wlan.ifconfig()[3]

    def _credentials(self):
        store = esp32.NVS("wifi")
        found = []
        for name in ("ssid", "key"):
            buf = bytearray(64)
            found.append(str(buf[: store.get_blob(name, buf)], "utf-8"))
        return found

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
