"""What `make bench` makes of figures: what fails its gate, what a median is, that nothing missed or missing is hidden."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import gate  # noqa: E402
import heap  # noqa: E402
import performance  # noqa: E402
import run  # noqa: E402
import table  # noqa: E402
from budgets import BUDGETS, MARKS  # noqa: E402

KNOWN = {"chunk": {"instructions": 1000, "bytes": 100}}
FACTS = "date commit processor cores kernel python micropython peers load runs minutes"
MACHINE = dict.fromkeys(FACTS.split(), "x")


def compared(instructions=1000, allocated=100, left=0, work="chunk"):
    found = {work: {"instructions": instructions, "bytes": allocated, "left": left}}
    worse, better = gate.compare(found, KNOWN)
    return len(worse), len(better)


def test_a_tenth_is_allowed_and_no_more():
    assert compared() == compared(1100, 110) == compared(910, 91, -32) == (0, 0)
    assert compared(1101) == compared(allocated=111) == (1, 0)
    assert compared(1101, 111) == (2, 0)
    assert compared(900) == (0, 1)


def test_growth_of_the_heap_and_what_has_no_number_fail():
    assert compared(left=16) == (1, 0)
    assert compared(work="window") == (1, 0)


def test_the_numbers_are_of_all_works():
    assert set(json.loads(gate.NUMBERS.read_text())["works"]) == set(gate.WORDS)


def test_all_works_are_done(monkeypatch):
    """Each of them says so itself: what it counted is not of a coroutine that nobody has run."""
    which = gate.shutil.which
    monkeypatch.setattr(gate.shutil, "which", lambda name: None if name == "valgrind" else which(name))
    found = gate.measure()
    assert found.keys() == gate.WORDS.keys() and all(figures["bytes"] for figures in found.values())


def test_another_interpreter_or_no_valgrind_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt-get install valgrind"):
        gate.check()
    monkeypatch.setattr(gate.shutil, "which", lambda name: name)
    monkeypatch.setattr(gate, "version", lambda: "another")
    with pytest.raises(SystemExit, match="renew it"):
        gate.check()


def test_median_and_spread():
    runs = [{"bench": "a", "bytes": 5, "per_s": rate} for rate in (30, 10, 20)]
    assert run.merged(runs) == {
        "bench": "a", "bytes": 5, "per_s": 20, "runs": 3, "spread": {"per_s": [10, 30]},
    }  # fmt: skip
    assert run.merged(runs[:1]) == runs[0]


def test_a_part_that_was_measured_again_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "FIGURES", tmp_path / "bench.json")
    monkeypatch.setattr(run.peers, "fetch", lambda: None)
    monkeypatch.setattr(run.machine, "describe", lambda: dict(MACHINE))
    monkeypatch.setattr(run, "measure", lambda names, runs: {name: [{"bench": name, "of": runs}] for name in names})
    run.save(list(run.BENCHES), 5)
    run.save(["delta"], 1)
    found = json.loads(run.FIGURES.read_text())
    assert found["machine"]["runs"] == 5 and list(found["machine"]["later"]) == ["delta"]
    assert found["results"]["delta"][0]["of"] == 1 and found["results"]["size"][0]["of"] == 5
    monkeypatch.setattr(performance, "DOCUMENT", tmp_path / "performance.md")
    performance.write(found["machine"], [])
    assert "Measured again later: delta (x, commit x)." in performance.DOCUMENT.read_text()


def page(monkeypatch, tmp_path, results):
    monkeypatch.setattr(performance, "DOCUMENT", tmp_path / "performance.md")
    performance.write(MACHINE, table.sections(results))
    return (tmp_path / "performance.md").read_text()


def test_every_budget_has_a_row_even_when_nothing_was_measured(monkeypatch, tmp_path):
    text = page(monkeypatch, tmp_path, [])
    for what in [budget.what for budget in BUDGETS.values()] + [mark.what for mark in MARKS.values()]:
        (line, *_more) = [line for line in text.splitlines() if line.startswith("| " + what)]
        assert "**NOT MEASURED**" in line
    assert "| free IDF heap beside it | **NOT MEASURED** | 30 KB | only a chip has one |" in text
    assert "kept" not in text.partition("| what |")[2]


def test_the_worst_moment_was_measured(monkeypatch, tmp_path):
    """What other actions need is not taken for it."""
    row = "| Python heap in all, at the worst moment, with an app of 20 KB .mpy |"
    results = [{"bench": "memory32", "smallest": {"at rest": 90_000, "update by https": 100_000}}]
    assert f"{row} **NOT MEASURED** |" in page(monkeypatch, tmp_path, results)
    results.append({"bench": "memory32", "smallest": {"update by coaps": 110_000}})
    assert f"{row} 110,000 B |" in page(monkeypatch, tmp_path, results)


def test_a_smallest_heap_at_an_end_of_what_was_tried_is_none():
    tried = []
    assert heap.smallest(lambda size: tried.append(size) or size >= 100, 64, 192, 8) == 104
    assert max(size for size in tried if size < 100) == 96
    for needed in (1, 64, 72, 185, 193):
        with pytest.raises(SystemExit, match="not between 64 and 192 KB"):
            heap.smallest(lambda size, needed=needed: size >= needed, 64, 192, 8)


def test_what_is_missed_is_shown(monkeypatch, tmp_path):
    results = [
        {"bench": "update", "smallest_heap_kb": 257, "live_bytes": {}},
        {"bench": "delta_line", "line": "a text", "delta": 4096},
        {"bench": "delta_line", "line": "an import", "delta": 4097},
        {"bench": "gate", "work": "notification", "what": "w", "bytes": 1, "left": 0},
        {"bench": "swu_get", "per_s_1": 1990, "runs": 5, "spread": {"per_s_1": [1000, 2000]}},
        {"bench": "chipheap", "taken": {"check": 0, "update by https": 2, "update by coaps": None}},
        {"bench": "delta_pair", "pair": "old to new", "missing": "a network"},
    ]
    text = page(monkeypatch, tmp_path, results)
    assert "heap | 257 KB |  | 256 KB | **MISSED** |" in text
    line = "| one line of the demo's app changed, payload:"
    assert f"{line} a text | 4,096 B |  | 4,096 B | kept |" in text
    assert f"{line} an import | 4,097 B |  | 4,096 B | **MISSED** |" in text
    assert "| 0 B |  | 0 B | kept |" in text
    assert "| 1,990/s | 1,000 to 2,000 | 2,000/s | **MISSED** |" in text
    radio = "| heap that grows as a stock ESP32's: times that it takes what the radio needs,"
    assert (
        f"{radio} check | 0 |  | 0 | kept |" in text and f"{radio} update by https | 2 |  | 0 | **MISSED** |" in text
    )
    assert f"{radio} update by coaps | **NOT MEASURED** |" in text
    assert "| **NOT MEASURED** |  | 13% | it takes a network |" in text
    assert "**NOT MEASURED: apt-get install valgrind**" in text
