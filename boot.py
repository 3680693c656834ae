# The first code of ours that a board runs: finds the app of the running slot and starts it, or rescues.
# No policy, and never updated over the air: it stays source, so that any MicroPython can run it.

import gc
import sys

import esp32
import machine

APP = "/app"


def start():
    """Mount the app half of the running slot and run its `main`; returns only when that fails."""
    import vfs
    from romfs import RomFS

    slot = esp32.Partition(esp32.Partition.RUNNING).info()[4]
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="app" + slot[3:])
    vfs.mount(RomFS(found[0]), APP)
    sys.path.insert(0, APP)
    import main

    main.run()


gc.threshold(4096)  # what stays is laid down densely; a heap full of holes cannot take an update's buffers later
machine.WDT(timeout=60_000)  # whatever hangs from here on ends in a reset
try:
    start()
    print("boot: main ended")
except KeyboardInterrupt:
    print("boot: stopped from the keyboard; the watchdog is on")
    raise
except Exception as error:
    print("boot: the app could not be run")
    sys.print_exception(error)
import rescue  # noqa: E402

rescue.run()
