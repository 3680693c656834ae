"""`make bench`: every figure in one table, and build/bench.json beside it. A bench that cannot run fails all."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from budgets import BUDGETS, past
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BENCHES = (
    ("cbor, crypto (MicroPython)", ["micropython", "-X", "heapsize=1m", str(HERE / "bench_cbor.py")]),
    ("CoAP", [sys.executable, str(HERE / "bench_coap.py")]),
    ("DTLS", [sys.executable, str(HERE / "bench_dtls.py")]),
    ("pipeline", [sys.executable, str(HERE / "bench_pipeline.py"), "--size", "400000", "--flash"]),
    ("update", [sys.executable, str(HERE / "bench_update.py")]),
    ("memory, 32 bits", [sys.executable, str(HERE / "bench_memory.py")]),
    ("size", [sys.executable, str(HERE / "size.py")]),
)


def results_of(name: str, command: list[str]) -> list[dict[str, Any]]:
    """The JSON lines that a bench prints. Ends the program when it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'tools'}:{ROOT / 'host_tests'}:{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=900)
    if done.returncode:
        sys.exit(f"the bench {name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    found = []
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
    if name == "size":
        found = [{"bench": "size", **json.loads((ROOT / "build/size.json").read_text())["figures"]}]
    if not found:
        sys.exit(f"the bench {name} printed no figure")
    return found


def verdict(value: float, budget: float, most: bool) -> str:
    """Whether `value` keeps its budget."""
    return "kept" if (value <= budget if most else value >= budget) else "MISSED"


def rows(results: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """(what, figure, budget, verdict) of what has a budget, and what is worth reading without one."""
    found: list[tuple[str, str, str, str]] = []
    for r in results:
        if r["bench"] == "coap_get":
            for n in (1, 16):
                found.append((f"lib/coap alone, 270 bytes, {n} outstanding", f"{r[f'per_s_{n}']:,}/s", "", ""))
        elif r["bench"] == "swu_get":
            for n in (1, 16):
                rate = r[f"per_s_{n}"]
                text = f"coaps GET of /oc/swu, whole device, {n} outstanding"
                found.append((text, f"{rate:,}/s", "2,000/s", verdict(rate, 2000, False)))
        elif r["bench"] == "dtls":
            found.append(("P-256 multiplication", f"{r['multiplication_ms']} ms", "", ""))
            for name in ("anon", "ecdhe_psk", "psk_ccm8", "certificates"):
                cost = r[f"handshake_{name}_multiplications"]
                found.append((f"handshake, {name}", f"{cost} multiplications", "2.5", verdict(cost, 2.5, True)))
            heap = r["heap_per_session"]
            found.append(("heap of a session", f"{heap:,} B", "2,048 B", verdict(heap, 2048, True)))
            for n in (1, 16):
                rate = r[f"coaps_per_s_{n}"]
                found.append((f"lib/coap over lib/dtls alone, 270 bytes, {n} outstanding", f"{rate:,}/s", "", ""))
            found.append(("secured GET of /oc/swu, memory allocated", f"{r['request_bytes']:,} B", "", ""))
            count = r["request_instructions"]
            text = f"{count:,}" if count else "not counted: valgrind is missing (apt-get install valgrind)"
            found.append(("secured GET of /oc/swu, instructions", text, "", ""))
        elif r["bench"] == "pipeline":
            name = f"{r['transport']}, {r['rtt_ms']:.0f} ms round trip"
            found.append((f"download by {name}", f"{r['kB_s']:.0f} KB/s", "", ""))
            if "ratio" in r:
                found.append(
                    (f"flash model / total, {name}", f"{r['ratio']:.2f}", "0.90", verdict(r["ratio"], 0.9, False))
                )
        elif r["bench"] == "update":
            heap = r["smallest_heap_kb"]
            found.append(("a whole update, -X heapsize", f"{heap} KB", "256 KB", verdict(heap, 256, True)))
            for phase, size in sorted(r["live_bytes"].items()):
                found.append((f"live heap, {phase} (unix port)", f"{size:,} B", "", ""))
        elif r["bench"] == "memory32":
            if "missing" in r:
                found.append(("MEMORY WITH 32-BIT WORDS WAS NOT MEASURED", f"it takes {r['missing']}", "", ""))
                continue
            budget = BUDGETS["heap"]
            found.append(
                (budget.what, f"{r['worst']:,} B", f"{budget.most:,} B", verdict(r["worst"], budget.most, True))
            )
            for name, size in r["smallest"].items():
                found.append((f"smallest heap, {name}, 32 bits, with the app", f"{size:,} B", "", ""))
        elif r["bench"] == "size":
            for key, budget in BUDGETS.items():
                if key in r:
                    found.append(
                        (budget.what, f"{r[key]:,} B", f"{budget.most:,} B", verdict(r[key], budget.most, True))
                    )
        else:
            for key, value in r.items():
                if key != "bench" and isinstance(value, (int, float)):
                    found.append((f"{r['bench']}: {key}", f"{value:,}", "", ""))
    return found


def main() -> None:
    """The command."""
    results = []
    for name, command in BENCHES:
        print(f"{name} ...", file=sys.stderr)
        results += results_of(name, command)
    table = Table(title="Figures of this machine, in one run")
    for column in ("what", "figure", "budget", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    for row in rows(results):
        table.add_row(*row)
    Console().print(table)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    print("build/bench.json has them all.")
    over, failed = past({"heap": max((r["worst"] for r in results if "worst" in r), default=0)})
    if failed:
        sys.exit(f"past the budget: {'; '.join(over)}")


if __name__ == "__main__":
    main()
