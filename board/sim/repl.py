"""The REPL of the simulated chip (shared/runtime/pyexec.c): the raw one that tools use, and as much as leads to it."""

import sys


def serve(chip):
    """Answer for ever."""
    names = {"__name__": "__main__"}
    sys.stdout.write("MicroPython on the simulated board\n>>> ")
    raw = False
    text = b""
    while True:
        byte = sys.stdin.buffer.read(1)
        if byte == b"\x01":
            raw, text = True, b""
            sys.stdout.write("raw REPL; CTRL-B to exit\n>")
        elif byte == b"\x02":
            raw, text = False, b""
            sys.stdout.write("\nMicroPython on the simulated board\n>>> ")
        elif byte == b"\x03":
            text = b""
        elif byte == b"\x05" and raw and not text:  # the way to paste that is newer; not known here
            sys.stdin.buffer.read(2)
            sys.stdout.write("R\x00")
        elif byte == b"\x04" and (text == b"" or not raw):
            sys.stdout.write("OK\nMPY: soft reboot\n" if raw else "MPY: soft reboot\n")
            chip.halt("soft")
        elif byte == b"\x04":
            sys.stdout.write("OK")
            _run(chip, text, names)
            text = b""
            sys.stdout.write("\x04>")
        elif not byte:
            chip.wait()
        elif raw:
            text += byte


def _run(chip, text, names):
    chip.tell("kbd 3")
    try:
        exec(compile(str(text, "utf-8"), "<stdin>", "exec"), names)
        sys.stdout.write("\x04")
    except BaseException as error:  # noqa: B036 - also an interrupt
        sys.stdout.write("\x04")
        sys.print_exception(error)
    chip.tell("kbd -1")
