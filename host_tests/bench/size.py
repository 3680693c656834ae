"""`make size`: every device module as `.mpy` for the ESP32 and on a heap with 32-bit words, what is resident, what each
phase adds and what leaving it gives back, against the budgets (budgets.py).

The heap needs a MicroPython with 32-bit words: `make heap32`. With CHECK=1 it fails past any budget, and without one.
"""

import ast
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).parent)]

import heap  # noqa: E402
import live  # noqa: E402
import micropython32  # noqa: E402
from budgets import BUDGETS, past  # noqa: E402
from fargo import bundle, flat, groups, romfs  # noqa: E402
from modules import ROOT, resident, roots  # noqa: E402

ENTRY = "main"
_START = ("firmware.start",)
_BEGIN = ("firmware.begin",)
_WORK = ("swupdate.action", "swupdate.work", "swupdate.install.obtain", "firmware.job")
_OFFER = (*_WORK, "swupdate.install.offer")
_OPEN = ("firmware.resolver", "swupdate.install.https", "port._stream_micropython")
_REQUEST = ("swupdate.install.connect",)
_BRING = (*_WORK, "swupdate.install.bring")
_HTTPS = (*_BRING, *_OPEN)
_COAP_SOURCE = ("firmware.resolver", "firmware.coap_source")
_COAP = (*_COAP_SOURCE, "coap.download")
_AHEAD = ("swupdate.action", "swupdate.work", "firmware.job", "firmware.ahead")  # before the rest of what fetches
_BELIEVE = (*_AHEAD, "firmware.trust", "firmware.coap_connect")
_CONNECT = (*_BELIEVE, "dtls.client")
_CRED = ("ocf.security.update", "ocf.security.cred", "crypto.pem", "crypto.certificate")
# What is in memory together, by the roots of the phases.
PHASES = {
    "start, names": ("firmware.known",),
    "start, parts": ("firmware.parts",),
    "start, time of manufacture": ("firmware.parts", "swupdate.rfc3339"),
    "start, provisioned": (*_START, "firmware.provision"),
    "start, repair": (*_START, "board_start", "firmware.repair"),
    "start, app's folder": (*_START, "firmware.folder"),
    "start, room": (*_START, "firmware.room"),
    "start, label": (*_START, "swupdate.label"),
    "start, time": (*_START, "firmware.seen"),
    "start, onboarding": (*_START, "ocf.recorded"),
    "start, security": (*_START, "ocf.security.load", "ocf.security.stored"),
    "start, new": (*_START, "ocf.security.load", "ocf.security.records"),
    "start, owned": (*_START, "ocf.security.load", "ocf.security.credentials"),
    "start, what was recorded": (*_BEGIN, "swupdate.boot", "swupdate.recorded", "swupdate.machine"),
    "start, what runs": (*_BEGIN, "swupdate.boot", "swupdate.reconcile", "swupdate.trust"),
    "start, records": (*_BEGIN, "swupdate.boot", "swupdate.recorded", "cbor.decoder"),
    "start, floor": (*_BEGIN, "swupdate.boot", "swupdate.floor", "swupdate.trust"),
    "start, update": (*_BEGIN, "swupdate.boot", "swupdate.feeding"),
    "start, over": ("firmware.settle",),
    "start, board": (*_BEGIN, "board_start"),
    "start, sockets": (*_BEGIN, "port.sockets", "port.group"),
    "ClientHello": ("dtls.cookie",),
    "handshake, hello": ("dtls.server", "dtls.hello", "ocf.security.credentials"),
    "handshake": ("dtls.server", "ocf.security.credentials"),
    "handshake, Finished": ("dtls.server", "dtls.keys"),
    "handshake, record": ("dtls.server", "dtls.inbox"),
    "handshake, keys": ("dtls.server", "crypto.p256"),
    "handshake, secret": ("dtls.server", "crypto.ecdh"),
    "first session with CCM, which stays": ("dtls.aead",),
    "last flight, again": ("dtls.wire",),
    "handshake, signing": ("dtls.server", "crypto.ecdsa"),
    "handshake, signature": ("dtls.server", "dtls.certificates", "crypto.der"),
    "handshake, certificates": ("dtls.server", "ocf.security.certificates", "crypto.reading"),
    "handshake, judging": ("dtls.server", "ocf.security.certificates", "crypto.chain"),
    "handshake, verifying": ("dtls.server", "ocf.security.certificates", "crypto.verify"),
    "GET of /oic/d": ("ocf.core",),
    "GET of /fargo/update": ("swupdate.status",),
    "UPDATE, read": ("ocf.update", "swupdate.declared"),
    "UPDATE of /oc/swu": ("swupdate.wish",),
    "step of the update": ("swupdate.feeding",),
    "GET of pstat": ("ocf.status",),
    "UPDATE of pstat": ("ocf.onboarding", "ocf.security.credentials"),
    "UPDATE of cred": ("ocf.security.update", "ocf.security.cred", "crypto.prf"),
    "UPDATE of cred, certificate": (*_CRED, "crypto.x509"),
    "UPDATE of acl2": ("ocf.security.update", "ocf.security.acl2"),
    "UPDATE of doxm": ("ocf.security.update", "ocf.security.doxm", "ocf.security.view", "ocf.security.pin"),
    "UPDATE of roles": ("ocf.security.update", "ocf.security.roles", "crypto.reading"),
    "UPDATE of roles, judging": ("ocf.security.update", "ocf.security.roles", "crypto.chain"),
    "UPDATE of roles, verifying": ("ocf.security.update", "ocf.security.roles", "crypto.verify"),
    "UPDATE of roles, read": ("ocf.security.update", "ocf.security.roles", "crypto.pem"),
    "UPDATE of roles, before": ("ocf.security.update", "ocf.security.roles", "ocf.security.credentials"),
    "DELETE of cred": ("ocf.security.delete",),
    "GET of cred": ("ocf.security.view", "crypto.pem"),
    "GET of csr": ("ocf.security.view", "ocf.security.csr"),
    "RESET": ("ocf.onboarding", "ocf.security.records", "firmware.forget"),
    "refused request": ("ocf.refusal",),
    "refused message": ("coap.refusal",),
    "discovery": ("ocf.discovery", "ocf.core"),
    "transfer in blocks": ("coap.transfer",),
    "observation": ("coap.registration",),
    "introspection": ("ocf.introspection", "ocf.core", "swupdate.declared"),
    "time, name": ("firmware.ntp", "swupdate.install.dns"),
    "time, question": ("firmware.ntp", "firmware.sntp"),
    "network lost": ("board_start",),
    "restart": ("swupdate.action", "swupdate.restart", "coap.flush"),
    "trial": ("firmware.trying",),
    "what is rare": ("firmware.events",),
    "question to the app": ("firmware.asking",),
    "the app makes room": ("firmware.leaving",),
    "GET of what is the app's, while it is away": ("firmware.absent",),
    "states of the slots": ("swupdate.otadata",),
    "update, was ready": ("swupdate.action", "swupdate.work", "swupdate.arming"),
    "update, terms": ("swupdate.action", "swupdate.work", "firmware.job", "firmware.terms", "swupdate.trust"),
    "update, opening": (*_HTTPS, "firmware.sources"),
    "update, URL": (*_HTTPS, "swupdate.install.reference", "swupdate.url"),
    "update, name": (*_AHEAD, "swupdate.install.dns"),
    "update, address": (*_AHEAD, "swupdate.itself"),
    "update, TLS": (*_AHEAD, "firmware.tls"),
    "update, redirected": (*_HTTPS, *_REQUEST, "swupdate.install.dns"),
    "update, asking": (*_HTTPS, "swupdate.install.ask"),
    "update, answer": (*_HTTPS, "swupdate.install.head"),
    "update, answered": (*_HTTPS, "swupdate.install.request"),
    "update, elsewhere": (*_HTTPS, "swupdate.install.request", "swupdate.install.reference", "swupdate.url"),
    "update, envelope": (*_OFFER, "swupdate.install.signatures", "swupdate.install.envelope"),
    "update, manifest": (*_OFFER, "swupdate.install.manifest"),
    "update, signatures": (*_OFFER, "swupdate.install.signatures", "crypto.cose"),
    "update, conditions": (*_OFFER, "swupdate.install.policy"),
    "update, tables": (*_HTTPS, "swupdate.install.tables"),
    "update, what is there": (*_HTTPS, "swupdate.install.local"),
    "update, what is carried": (*_HTTPS, "swupdate.install.carry"),
    "update, what is last": (*_HTTPS, "swupdate.install.first"),
    "update, connection lost": (*_HTTPS, *_REQUEST, "swupdate.install.lost"),
    "update, payload": (*_HTTPS, "swupdate.install.payload"),
    "update, windows": (*_HTTPS, "swupdate.install.windows"),
    "update, trust store": (*_WORK, *_OPEN, "swupdate.install.trust"),
    "update, trust store, asking": (*_WORK, *_OPEN, "swupdate.install.trust", *_REQUEST),
    "update, its keys": (*_WORK, "swupdate.install.trust", "crypto.curve"),
    "update, its signatures": (*_WORK, "swupdate.install.trust", "swupdate.install.signatures", "crypto.cose"),
    "update, it is kept": (*_WORK, "swupdate.install.trust", "swupdate.trust"),
    "update, validation": (*_WORK, "swupdate.install.whole"),
    "update by CoAP, hello": (*_CONNECT, "dtls.greeting"),
    "update by CoAP, record": (*_CONNECT, "dtls.greeting", "dtls.inbox"),
    "update by CoAP, keys": (*_BELIEVE, "crypto.p256"),
    "update by CoAP, secret": (*_CONNECT, "crypto.ecdh"),
    "update by CoAP, Finished": (*_CONNECT, "dtls.keys"),
    "update by CoAP, signature": (*_CONNECT, "dtls.certificates", "crypto.der"),
    "update by CoAP, verifying": (*_CONNECT, "crypto.verify"),
    "update by CoAP, signing": (*_CONNECT, "crypto.ecdsa"),
    "update by CoAP, shown certificates": (*_CONNECT, "crypto.x509", "crypto.reading"),
    "update by CoAP, certificates": (*_BELIEVE, "crypto.x509", "crypto.reading"),
    "update by CoAP, judging": (*_BELIEVE, "crypto.x509", "crypto.chain"),
    "update by CoAP, its chain": (*_BELIEVE, "crypto.x509", "crypto.verify"),
    "update by CoAP, refused": (*_CONNECT, "firmware.coap_lost"),
    "update by CoAP, URL": (
        *_BRING,
        *_COAP_SOURCE,
        "firmware.coap_way",
        "firmware.coap_target",
        "swupdate.install.reference",
        "swupdate.url",
    ),
    "update by CoAP, envelope": (*_OFFER, *_COAP, "firmware.coap_get"),
    "update by CoAP, beginning": (*_BRING, *_COAP, "swupdate.install.payload", "coap.seldom"),
    "update by CoAP, connection lost": (*_BRING, *_COAP, "firmware.coap_lost"),
    "update by CoAP, what is there": (*_BRING, *_COAP_SOURCE, "swupdate.install.local"),
    "update by CoAP, tables": (*_BRING, *_COAP, "swupdate.install.tables"),
    "update by CoAP, payload": (*_BRING, *_COAP, "swupdate.install.payload"),
    "update by CoAP, windows": (*_BRING, *_COAP, "swupdate.install.windows"),
}


def compiled_size(name, path, folder):
    """Bytes of the module, by its name in an image, as the release carries it; it stays in `folder` for an import."""
    out = Path(folder) / name.replace(".", "/")
    out = out / "__init__.mpy" if path.name == "__init__.py" else out.with_suffix(".mpy")
    out.parent.mkdir(parents=True, exist_ok=True)
    romfs.compile_to(out, path, name, "xtensawin")
    return out.stat().st_size


def called(name, modules):
    """A module of the image, by the one that gave it its name, or the last, and how many others are in it."""
    root = next((module for module in modules if flat.module(module) == name), modules[-1])
    return root + (f" and {len(modules) - 1} more" if modules[1:] else "")


def measure():
    """(rows of modules, rows of phases, figures). Ends the program when a phase is in no line of PHASES.

    Bytes; of the heap: None, and no figures, without a MicroPython that has 32-bit words.
    """
    forgotten = roots() - {"app"} - resident() - {root for some in PHASES.values() for root in some}
    if forgotten:
        sys.exit(f"phases that size.py does not know: {', '.join(sorted(forgotten))}")
    joined = bundle.joined(bundle.own_files())
    of = {module: name for name, some in joined.items() for module in some}
    asked = {title: list(dict.fromkeys(of[root] for root in some)) for title, some in PHASES.items()}
    found = None
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as short:
        shortened = bundle.shortened(bundle.own_files(), Path(short))
        paths = {flat.module(file): path for file, path in shortened.items()}
        trees = {name: ast.parse(path.read_text()) for name, path in paths.items()}
        edges = {name: groups.imports(tree, trees) for name, tree in trees.items()}
        order = groups.order(sorted(trees), edges)
        stays = groups.closure([ENTRY], edges)
        brought = {title: groups.closure(some, edges) - stays for title, some in asked.items()}
        rest = set().union(*brought.values())
        sizes = {name: compiled_size(name, paths[name], folder) for name in order if name in stays | rest}
        if command := micropython32.command():
            parts = [[name for name in order if name in some] for some in (stays, rest)]
            found = heap.measure(command, Path(folder), *parts, asked)
    modules = [
        {
            "module": called(name, joined[name]),
            "modules": joined[name],
            "bytes": sizes[name],
            "heap": found and found.code[name],
            "names": found and found.names[name][0],
            "names_bytes": found and found.names[name][1],
            "phases": ["resident"] if name in stays else [p for p in PHASES if name in brought[p]],
        }
        for name in sorted(sizes, key=lambda name: (name not in stays, name))
    ]
    phases = [
        {
            "phase": name,
            "bytes": sum(sizes[module] for module in brought[name]),
            "heap": found and found.phases[name],
            "left": found and found.left[name],
        }
        for name in PHASES
    ]
    figures = {"all": sum(sizes.values()), "resident": sum(sizes[name] for name in stays)}
    figures["largest phase"] = max(phase["bytes"] for phase in phases)
    if found:
        counts = [sum(found.names[m][0] for m in some) for some in (stays, sizes)]
        letters = [sum(found.names[m][1] - found.names[m][0] * heap.ENTRY for m in some) for some in (stays, sizes)]
        figures |= {
            "resident code": found.resident,
            "resident names": counts[0],
            "all names": counts[1],
            "resident names' bytes": letters[0] + heap.pools(counts[0]),
            "all names' bytes": letters[1] + heap.pools(counts[1]),
            "largest phase's heap": max(found.phases.values()),
            "left behind": max(found.left.values()),
        }
    return modules, phases, figures


def number(value):
    """For a table."""
    return "-" if value is None else f"{value:,}"


def table_of(title, columns, rows):
    """A table of words, then numbers, and words again under "in memory"."""
    table = Table(title=title)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 or column == "in memory" else "right")
    for row in rows:
        table.add_row(*row)
    return table


def where(phases):
    """When a module is in memory, in words."""
    return phases[0] + (f" and {len(phases) - 1} more" if phases[1:] else "")


def main():
    modules, phases, figures = measure()
    lived = None
    if "resident code" in figures:
        micropython32.use()
        lived = live.owned_and_idle()
        figures["live"] = lived["live"]
    console = Console()
    console.print(
        table_of(
            "Device code in bytes: .mpy (xtensawin, -O3), and on a heap with 32-bit words",
            ("module", ".mpy", "heap", "new names", "their bytes", "in memory"),
            [
                [
                    r["module"],
                    *(number(r[key]) for key in ("bytes", "heap", "names", "names_bytes")),
                    where(r["phases"]),
                ]
                for r in modules
            ],
        )
    )
    console.print(
        table_of(
            "Phases, beside what is resident",
            ("phase", ".mpy", "adds to the heap", "leaves there"),
            [[r["phase"], *(number(r[key]) for key in ("bytes", "heap", "left"))] for r in phases],
        )
    )
    rows = []
    for key, value in figures.items():
        budget = BUDGETS.get(key)
        name = budget.what if budget else key
        share = f"{value / budget.most:.0%}" if budget and budget.most else ""
        rows.append([name, number(value), number(budget.most) if budget else "", share])
    console.print(table_of("Against the budgets", ("what", "bytes", "budget", "used"), rows))
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    written = {"modules": modules, "phases": phases, "figures": figures, "live": lived}
    (build / "size.json").write_text(json.dumps(written, indent=1) + "\n")
    over, failed = past(figures)
    if lived is None:
        console.print(f"THE HEAP WAS NOT MEASURED. It takes {micropython32.HOW}.", style="bold red")
        failed = failed or bool(os.environ.get("CHECK"))
    if over:
        console.print(f"Past the budget: {'; '.join(over)} (docs/decisions.md)", style="bold red")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
