# What boot.py does before the app is there: from the slot that runs to its app's `main`. Lives beside it in `vfs`, never
# updated; while the app runs it is not in memory.

import sys

import esp32
import micropython

_APP = "/app"


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
    """Mount the app half of the running slot and import its `main`, which gets to know its `files`."""
    import vfs
    from romfs import RomFS

    slot = esp32.Partition(esp32.Partition.RUNNING).info()[4]
    check(slot)
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="app" + slot[3:])
    files = RomFS(found[0])
    vfs.mount(files, _APP)
    sys.path.insert(0, _APP)
    import main

    main.files = files
    return main
