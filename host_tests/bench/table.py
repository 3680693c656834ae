"""What `make bench` found, in rows of words: for the terminal and for docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from budgets import BUDGETS, MARKS
from rich.console import Console
from rich.table import Table

NOT_HERE = "NOT MEASURED"
_KB = 1024


class Row(NamedTuple):
    """`spread`: the least and the most of the runs; `other`: the budget, or the peer's figure; `verdict`: or the ratio."""

    what: str
    figure: str
    spread: str = ""
    other: str = ""
    verdict: str = ""


class Section(NamedTuple):
    """A table."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row]

    def kept(self) -> list[int]:
        """Which columns are not empty."""
        return [at for at in range(len(self.columns)) if any(row[at] for row in self.rows)]


def _text(value: float, unit: str = "") -> str:
    """A number, with its unit."""
    digits = 0 if value == int(value) or abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f}" + (f" {unit}" if unit not in ("", "%", "/s") else unit)


def _spread(result: dict[str, Any], key: str) -> str:
    found = result.get("spread", {}).get(key)
    return f"{_text(found[0])} to {_text(found[1])}" if found else ""


class Found:
    """The results, to be asked."""

    def __init__(self, results: Iterable[dict[str, Any]]) -> None:
        self.results = list(results)

    def all(self, bench: str, **wanted: Any) -> list[dict[str, Any]]:
        """Of this bench, with these values."""
        return [r for r in self.results if r["bench"] == bench and all(r.get(k) == v for k, v in wanted.items())]

    def one(self, bench: str, **wanted: Any) -> dict[str, Any]:
        """The first of them; {} when there is none."""
        return next(iter(self.all(bench, **wanted)), {})


def worst(results: Iterable[dict[str, Any]], only: str = "", bench: str = "memory32") -> int:
    """The largest of the smallest heaps (of those whose name has `only`); 0 when those for an update were not measured:
    nothing takes more.
    """
    sizes = {what: size for r in Found(results).all(bench) for what, size in r.get("smallest", {}).items()}
    if not sizes.keys() >= {"update by https", "update by coaps"}:
        return 0
    return max(size for what, size in sizes.items() if only in what)


def sections(results: list[dict[str, Any]]) -> list[Section]:
    """All tables."""
    found = Found(results)
    return [
        Section("Budgets", ("what", "figure", "of the runs", "budget", ""), _budgets(found)),
        Section(
            "Beside others, in the same run", ("what", "ours", "of the runs", "theirs", "ours / theirs"), _peers(found)
        ),
        Section("Work of the device, unix port", ("what", "instructions", "", "bytes allocated", ""), _works(found)),
        Section("More", ("what", "figure", "of the runs", "", ""), _more(found)),
    ]


def _mark(key: str, result: dict[str, Any], name: str, suffix: str = "", value: float | None = None) -> Row:
    mark = MARKS[key]
    what = f"{mark.what} {suffix}".strip()
    value = result.get(name) if value is None else value
    limit = _text(mark.limit, mark.unit)
    if value is None:
        return Row(what, NOT_HERE, "", limit, f"it takes {result.get('missing', 'a bench that was not run')}")
    spread = _spread(result, name)
    return Row(what, _text(value, mark.unit), spread, limit, "kept" if mark.kept(value) else "MISSED")


def _budgets(found: Found) -> list[Row]:
    rows = []
    size = {**found.one("size"), "heap": worst(found.results) or None}
    for app in ("lamp", "fitting"):
        size[app] = worst(found.results, bench="memory32 " + app) or None
    missing = found.one("memory32").get("missing", "a bench that was not run")
    for key, budget in BUDGETS.items():
        value = size.get(key)
        limit = _text(budget.most, "B")
        if value is None:
            rows.append(Row(budget.what, NOT_HERE, "", limit, f"it takes {missing}"))
        else:
            rows.append(Row(budget.what, _text(value, "B"), "", limit, "kept" if value <= budget.most else "MISSED"))
    for key, bench in (("app", "memory32"), ("fitting app", "memory32 fitting")):
        largest = worst(found.results, "update", bench)
        left = BUDGETS["heap"].most - largest if largest else None
        rows.append(_mark(key, {"missing": missing}, "", value=left))
    grown = found.one("chipheap")
    for action, times in grown.get("taken", {}).items():
        rows.append(_mark("radio", {"times": times, "missing": "a device that does it"}, "times", action))
    if not grown.get("taken"):
        rows.append(_mark("radio", grown, "times"))
    rows.append(Row("free IDF heap beside it", NOT_HERE, "", "30 KB", "only a chip has one"))
    dtls = found.one("dtls")
    rows.append(_mark("session", dtls, "heap_per_session"))
    rows.append(_mark("update", found.one("update"), "smallest_heap_kb"))
    for transport in ("coaps", "https"):
        suffix = f"{transport}, 20 ms, 1 % of packets lost"
        rows.append(_mark("pipeline", found.one("installer", transport=transport), "ratio", suffix))
    rows.append(_mark("coaps", found.one("installer", transport="coaps"), "kB_s"))
    for name in ("anon", "ecdhe_psk", "psk_ccm8", "certificates"):
        rows.append(_mark("handshake", dtls, f"handshake_{name}_multiplications", name.replace("_", " ")))
    pair = found.one("delta_pair")
    rows.append(_mark("pair", pair, "", value=100 * pair["delta"] / pair["bytes"] if "delta" in pair else None))
    for line in found.all("delta_line") or [{}]:
        rows.append(_mark("line", line, "delta", line.get("line", "")))
    envelope = found.one("envelope")
    rows.append(_mark("envelope", envelope, "heap", f"({envelope['bits']} bits)" if envelope else ""))
    for n in (1, 16):
        rows.append(_mark("request", found.one("swu_get"), f"per_s_{n}", f"{n} outstanding"))
    rows.append(_mark("notification", found.one("gate", work="notification"), "left"))
    return rows


def _beside(
    what: str, ours: Any, theirs: Any, key: str, their_key: str = "", unit: str = "/s", digits: int = 1
) -> Row:
    """A row of two results."""
    their_key = their_key or key
    if key not in ours or their_key not in theirs:
        return Row(what, NOT_HERE, "", "", f"it takes {theirs.get('missing', 'what was not fetched or not run')}")
    a, b = ours[key], theirs[their_key]
    return Row(what, _text(a, unit), _spread(ours, key), _text(b, unit), f"{a / b:.{digits}f}")


def _peers(found: Found) -> list[Row]:
    rows = []
    servers = {r["server"]: r for r in found.all("coap_server")}
    cpython, aiocoap = servers.get("lib/coap, CPython", {}), servers.get("aiocoap, CPython", {})
    for n in (1, 16):
        rows.append(_beside(f"CoAP server, CPython, {n} outstanding; aiocoap", cpython, aiocoap, f"per_s_{n}"))
    client = found.one("coap_client")
    rows.append(_beside("CoAP client, CPython; aiocoap", client, client, "lib_coap_per_s", "aiocoap_per_s"))
    for verb, other in (("encode", "dumps"), ("decode", "loads")):
        for interpreter in ("cpython", "micropython"):
            ours = found.one(f"cbor_{verb}", interpreter=interpreter)
            name = "CPython" if interpreter == "cpython" else "MicroPython"
            if interpreter == "cpython":
                theirs = found.one(f"cbor2_{verb}", interpreter=interpreter)
                rows.append(_beside(f"CBOR {verb}, {name}; cbor2 in Python", ours, theirs, "us", unit="us"))
            theirs = found.one(f"json_{other}", interpreter=interpreter)
            rows.append(_beside(f"CBOR {verb}, {name}; json, which is C", ours, theirs, "us", unit="us"))
    records = found.one("records")
    for ours, theirs in (("cbc", "cbc"), ("ccm_8", "gcm")):
        what = f"DTLS records of 1 KB, {ours.replace('_', '-').upper()}; MicroPython's tls, {theirs.upper()}, C"
        rows.append(_beside(what, records, records, f"{ours}_per_s", f"tls_{theirs}_per_s"))
    tcp = found.one("pipeline", transport="tcp")
    for transport in ("coaps", "https"):
        ours = found.one("pipeline", transport=transport)
        what = f"download by {transport}, 20 ms, no flash; TCP and SHA-256"
        rows.append(_beside(what, ours, tcp, "kB_s", unit="KB/s", digits=2))
    for pair in found.all("delta_pair"):
        for name in ("heatshrink", "lzma"):
            what = f"delta, {pair['pair']}; detools with {name}"
            rows.append(_beside(what, pair, pair, "delta", f"detools_{name}", unit="B", digits=2))
    return rows


def _works(found: Found) -> list[Row]:
    rows = []
    for r in found.all("gate"):
        count = _text(r["instructions"]) if "instructions" in r else NOT_HERE + ": apt-get install valgrind"
        rows.append(Row(r["what"], count, "", _text(r["bytes"])))
    return rows


def _more(found: Found) -> list[Row]:
    rows = []

    def add(what: str, result: dict[str, Any], key: str, unit: str) -> None:
        if key in result:
            rows.append(Row(what, _text(result[key], unit), _spread(result, key)))

    for n in (1, 16):
        server = found.one("coap_server", server="lib/coap, MicroPython")
        add(f"lib/coap alone, MicroPython, 270 bytes, {n} outstanding", server, f"per_s_{n}", "/s")
        add(f"the same over lib/dtls, {n} outstanding", found.one("dtls"), f"coaps_per_s_{n}", "/s")
    add("P-256 multiplication, processor time", found.one("dtls"), "multiplication_ms", "ms")
    for what in ("p256_key_pair", "p256_sign", "p256_verify"):
        add("P-256: " + what[5:].replace("_", " "), found.one(what), "ms", "ms")
    add("P-256: the loop is kept from its other tasks by a verification", found.one("p256_verify"), "blocked_ms", "ms")
    for what in ("ccm_8_seal", "ccm_8_open", "cbc_sha256_seal", "cbc_sha256_open"):
        add(f"256 bytes, {what.replace('_', ' ')}", found.one(what), "us", "us")
    for transport in ("coaps", "https", "tcp"):
        add(
            f"download by {transport}, 20 ms, no flash",
            found.one("pipeline", transport=transport),
            "kB_s",
            "KB/s",
        )
    for transport in ("coaps", "https"):
        add(f"the same by a whole device, by {transport}", found.one("installer", transport=transport), "kB_s", "KB/s")
    for pair in found.all("delta_pair"):
        if "delta" in pair:
            share = 100 * pair["delta"] / pair["bytes"]
            rows.append(Row(f"delta of {_text(pair['bytes'], 'B')}, {pair['pair']}", _text(share, "%")))
    apps = {
        "memory32": "an app of 20 KB .mpy",
        "memory32 fitting": "an app of 20 KB heap",
        "memory32 lamp": "the lamp",
    }
    for bench, app in apps.items():
        for r in found.all(bench):
            for name, size in r.get("smallest", {}).items():
                rows.append(Row(f"smallest heap with 32-bit words and {app}: {name}", _text(size, "B")))
    for phase, size in sorted(found.one("update").get("live_bytes", {}).items()):
        rows.append(Row(f"live heap of an update, 64-bit unix port: {phase}", _text(size, "B")))
    return rows


def show(tables: Iterable[Section]) -> None:
    """On the terminal."""
    for section in tables:
        shown = Table(title=section.title)
        kept = section.kept()
        for at in kept:
            shown.add_column(section.columns[at], justify="left" if at in (0, 4) else "right")
        for row in section.rows:
            loud = row.figure.startswith(NOT_HERE) or row.verdict == "MISSED"
            shown.add_row(*(row[at] for at in kept), style="bold red" if loud else None)
        Console().print(shown)
