# The first code of ours that a board runs: starts the app of the running slot, or rescues.
# No policy, and never updated over the air: it stays source, so that any MicroPython can run it. All of it stays in memory.

import gc
import sys
import time

import machine
import micropython

micropython.opt_level(3)  # the numbers of lines would stay in memory
gc.threshold(32768)  # no sooner: a collection takes as long as a request; no later: holes would cut the heap to pieces
machine.WDT(timeout=60_000)  # whatever hangs from here on ends in a reset
locked, main = False, None
try:
    try:
        import launch

        locked = launch.shut()
        main = launch.load()
        del launch, sys.modules["launch"]  # its memory is the app's now
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
