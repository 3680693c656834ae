# The first code of ours that a board runs: finds the app of the running slot and starts it, or rescues.
# No policy, and never updated over the air: it stays source, so that any MicroPython can run it.

import gc
import sys
import time

import esp32
import machine
import micropython

APP = "/app"


def shut():
    """Whether there is no REPL by USB: "locked": true in what was provisioned, as CBOR has it. Then Ctrl-C does nothing."""
    try:
        with open("/fargo.cbor", "rb") as file:
            if b"\x66locked\xf5" not in file.read():
                return False
        micropython.kbd_intr(-1)
        return True
    except OSError:
        return False


def check(slot):
    """Have another slot started when the app of this one is not what its label says and there is something better."""
    try:
        import rescue

        if not rescue.sound(slot):
            print("error: boot: the app in", slot, "is damaged")
            rescue.run()
            print("warning: boot: it is started all the same")
        del sys.modules["rescue"]  # its memory is the app's now
    except Exception as error:  # what cannot be checked is started
        sys.print_exception(error)


def load():
    """Mount the app half of the running slot and import its `main`."""
    import vfs
    from romfs import RomFS

    slot = esp32.Partition(esp32.Partition.RUNNING).info()[4]
    check(slot)
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="app" + slot[3:])
    vfs.mount(RomFS(found[0]), APP)
    sys.path.insert(0, APP)
    import main

    return main


micropython.opt_level(3)  # the numbers of lines would stay in memory
locked = shut()
gc.threshold(32768)  # no sooner: a collection takes as long as a request; no later: holes would cut the heap to pieces
machine.WDT(timeout=60_000)  # whatever hangs from here on ends in a reset
main = None
try:
    try:
        main = load()
        main.run()
        print("error: boot: main ended")
    except (Exception, SystemExit) as error:
        print("error: boot: the app could not be run")
        sys.print_exception(error)
    if main:  # it had been started: a reset ends a trial, and gives a confirmed version a fresh start
        time.sleep(2)
        machine.reset()
    import rescue

    rescue.run()  # returns when there is nothing to start
    print("error: boot: nothing to start; connect by USB")
except KeyboardInterrupt:
    print("warning: boot: stopped from the keyboard")
if locked:
    time.sleep(30)
    machine.reset()
machine.WDT(timeout=3_600_000)  # time for whoever connects by USB; then once more, in case it was a passing fault
