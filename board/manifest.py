# What is frozen into the firmware: MicroPython's own modules, and all of Fargo's. The maker's app is not: it stays in
# app_N, so that it can be updated alone. `boot.py` is not, either: it is in `vfs`, and a frozen one would come before it.

import os

LIB = "../lib"
DESKTOP = {"port": "_cpython.py", "coap": "client.py"}  # names end so of what no device imports

include("$(PORT_DIR)/boards/manifest.py")

for name in sorted(os.listdir(LIB)):
    files = None  # all that there are
    if name in DESKTOP:
        files = [file for file in sorted(os.listdir(LIB + "/" + name)) if file.endswith(".py")]
        files = [file for file in files if not file.endswith(DESKTOP[name])]
    if os.path.exists(LIB + "/" + name + "/__init__.py"):
        package(name, files=files, base_path=LIB, opt=3)
package("firmware", base_path="..", opt=3)
module("board.py", base_path="esp32", opt=3)
module("board_start.py", base_path="esp32", opt=3)
