"""The simulated chip: `micropython rom.py SETTINGS CONTROL ETHER`, started by the power supply (simboard.py).

SETTINGS is a JSON file; CONTROL a file descriptor on which the chip says what its hardware does; ETHER one of a file whose
first byte is "1" while there is a network, and byte 1 + n is "0" while something pulls pin n down. The bootloader selects
an image and verifies it; then the start-up script inside that image runs, which mounts `vfs`; then boot.py. From then on
code sees only what is in the flash file: the host's file system is gone.
"""

import gc
import json
import sys
import time

import micropython

micropython.opt_level(3)  # line numbers of the chip itself are worth less than the device's memory

sys.path.insert(0, sys.argv[0].rpartition("/")[0])

import bootloader  # noqa: E402
import esp32  # noqa: E402
import peripherals  # noqa: E402
from flash import Flash  # noqa: E402

_SCRIPT = b"FARGO-START\0"
_DESCRIPTION = 256


class Chip:
    """What the peripherals share."""

    def __init__(self, settings, control, ether):
        self.settings = settings
        self._control = control
        self._ether = ether
        self.spare = settings.get("spare", 94_000)
        self.flash = Flash(open(settings["flash"], "r+b"), settings, self.halt, self.busy)
        self.clock = peripherals.Clock(settings.get("rtc", 0))
        self.table = self.running = None

    def tell(self, text):
        """Say something to the power supply."""
        self._control.write(text + "\n")

    def busy(self, at, ms):
        """Nothing runs for so long: the flash is busy at byte `at`."""
        self.tell("busy %d %d" % (at, ms))

    def network(self):
        """Whether there is a network."""
        self._ether.seek(0)
        return self._ether.read(1) == b"1"

    def level(self, pin):
        """The level at an input, which has a pull-up."""
        self._ether.seek(1 + pin)
        return 0 if self._ether.read(1) == b"0" else 1

    def halt(self, why):
        """The end of this start; the power supply takes it from here. Nothing unwinds."""
        self.tell("operations %d" % self.flash.operations)
        self.tell(why)
        self.wait()

    def wait(self):
        """Do nothing for ever; without a power supply that listens, the process ends."""
        while True:
            time.sleep(1)
            self.tell("idle")


def script_of(chip):
    """The start-up script in the running image: it follows the description in the first segment."""
    head = bytearray(len(_SCRIPT) + 4)
    at = chip.running[2] + 32 + _DESCRIPTION
    chip.flash.read(at, head)
    if head[: len(_SCRIPT)] != _SCRIPT:
        return None
    script = bytearray(int.from_bytes(head[-4:], "little"))
    chip.flash.read(at + len(head), script)
    return str(script, "utf-8")


def tidy_nvs(chip):
    """Erase an NVS that makes no sense, as MicroPython's start does on the chip."""
    for _, _, at, size, label in chip.table:
        head = bytearray(1)
        if label == "nvs":
            chip.flash.read(at, head)
            if head[0] not in (0xA5, 0xFF):
                chip.flash.erase(at, size)


def main():
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    chip = Chip(settings, open("/dev/fd/" + sys.argv[2], "w"), open("/dev/fd/" + sys.argv[3], "rb"))
    bad, chip.flash.bad = chip.flash.bad, []
    chip.table = bootloader.partitions(chip.flash)
    chip.flash.bad = [
        entry for entry in bad if entry[2] != "read"
    ]  # what the bootloader reads is mapped, and never fails
    if "running" in settings:  # a soft reset: the bootloader has no part in it
        chip.running = [entry for entry in chip.table if entry[4] == settings["running"]][0]
    else:
        chip.running = bootloader.choose(chip.flash, print)
    if chip.running is None:
        print("bootloader: no bootable app partition")
        chip.halt("dead")
    chip.flash.bad = bad
    chip.tell("running " + chip.running[4])
    tidy_nvs(chip)
    script = script_of(chip)
    esp32._chip = chip
    sys.modules["machine"] = peripherals.machine_module(chip)
    sys.modules["micropython"] = peripherals.micropython_module(chip)
    sys.modules["network"] = peripherals.network_module(chip)
    sys.modules["socket"] = peripherals.socket_module(chip)
    sys.modules["time"] = peripherals.time_module(chip)
    sys.modules["esp32"] = esp32
    usb = None
    if settings.get("usb"):  # a module of its own: most boards do without, and have the memory
        import repl as usb
    for name in ("bootloader", "flash", "json", "peripherals", "repl"):
        sys.modules.pop(name, None)
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    import vfs

    vfs.umount("/")
    print("bootloader: starting", chip.running[4])
    try:
        exec(compile(script, "_boot.py", "exec"), {"__name__": "_boot"})
    except OSError as error:
        print("_boot: vfs cannot be mounted (%s)" % error)
        chip.wait()  # as MicroPython's own start does
    gc.collect()
    micropython.opt_level(0)
    chip.tell("kbd 3")  # from now on Ctrl-C interrupts
    run("/boot.py")
    chip.tell("kbd -1")
    if usb:
        usb.serve(chip)
    print("the REPL would be here")
    chip.wait()


def run(path):
    """Run a file as MicroPython's start does: an exception is printed and is not the end."""
    try:
        with open(path) as file:
            code = compile(file.read(), path[1:], "exec")  # its text is in nobody's memory when it runs
        exec(code, {"__name__": "__main__"})
    except Exception as error:
        sys.print_exception(error)


main()
