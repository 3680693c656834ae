"""Runs one file of `host_tests/unit/both` under MicroPython: `micropython run.py REPOSITORY FILE`.

Prints a line for every test and, last, `N passed, N failed`. Exit code 1 when one failed or there was none.
"""

import asyncio
import sys

root, file = sys.argv[1], sys.argv[2]
folder, _, name = file.rpartition("/")
sys.path[:0] = [root + "/lib", root, root + "/host_tests", folder]

module = __import__(name[:-3])
passed = failed = 0
for name in sorted(dir(module)):
    test = getattr(module, name)
    if not name.startswith("test_") or not callable(test):
        continue
    try:
        result = test()
        if hasattr(result, "send"):
            asyncio.new_event_loop()
            asyncio.run(result)
        passed += 1
        print("ok", name)
    except Exception as error:
        failed += 1
        print("FAILED", name)
        sys.print_exception(error)
print("%d passed, %d failed" % (passed, failed))
sys.exit(0 if passed and not failed else 1)
