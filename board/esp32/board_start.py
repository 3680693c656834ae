"""What only a start needs of the ESP32, and what joins its network (again). A phase."""

import esp32
import machine
import vfs
from port import const, sleep_ms, urandom

from board import Data

_DATA = const("/data")
_CAUSES = {1: "power", 2: "reset", 3: "watchdog", 4: "reset", 5: "soft"}


def mount_data(board):
    """Mount the file system of all mutable state; format it when it cannot be. Its path."""
    try:
        vfs.mount(vfs.VfsLfs2(Data(board.partition("data"))), _DATA)
    except OSError as error:
        print("warning: data holds no file system (%s): it is made anew, there is no owner" % error)
        format_data(board)
    return _DATA


def format_data(board):
    """Make that file system anew. When the flash refuses there is none: nothing is found there, nothing can be kept."""
    try:
        vfs.umount(_DATA)
    except OSError:  # it was not mounted
        pass
    device = Data(board.partition("data"))
    try:
        vfs.VfsLfs2.mkfs(device)
        vfs.mount(vfs.VfsLfs2(device), _DATA)
    except OSError as error:
        print("error: data cannot be written (%s): nothing is kept" % error)


def nvs():
    """The key-value store that holds the copy of the sequence floor."""
    return esp32.NVS("fargo")


def reset_cause():
    """ "power", "watchdog", "reset" or "soft"."""
    return _CAUSES.get(machine.reset_cause(), "reset")


def pin(number, button=False):
    """A pin with `value()`: an output, or the input of a button to ground. Raises ValueError when there is none."""
    Pin = machine.Pin
    return Pin(number, Pin.IN, Pin.PULL_UP) if button else Pin(number, Pin.OUT)


async def join(wlan):
    """Join the WiFi whose name and key are in NVS; waits as long as it takes, with growing pauses.

    Up to half as long again by chance: after a power failure the devices of a house do not ask all at once.
    """
    wlan.active(True)
    tenths = 50
    while not wlan.isconnected():
        tenths = min(tenths * 2, 600)
        try:
            name, key = _credentials()
            wlan.config(reconnects=1)  # a short loss is the radio's own; all else is this loop's
            wlan.connect(name, key)
        except OSError as error:  # none was provisioned, or a radio that is not ready yet
            print("warning: no WiFi provisioned yet? (%s)" % error)
        for _ in range(tenths + tenths * urandom(1)[0] // 512):
            if wlan.isconnected():
                break
            await sleep_ms(100)


def _credentials():
    store = esp32.NVS("wifi")
    found = []
    for name in ("ssid", "key"):
        buf = bytearray(64)
        found.append(str(buf[: store.get_blob(name, buf)], "utf-8"))
    return found
