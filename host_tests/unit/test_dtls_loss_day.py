"""The short form of `make day`: the morning of a device, with all of the weather."""

from __future__ import annotations

from typing import Any

import day


def test_two_hours_of_loss_silence_and_power_cuts(capsys: Any) -> None:
    report = day.simulate(2, 9, 20)
    with capsys.disabled():
        print("\n" + str(report))
    counts = report.counts
    assert counts["handshakes"] > 100 and counts["answered"] > 1000
    assert min(counts[name] for name in ("silences", "closed", "powered off", "notifications")) > 10
    assert min(counts[name] for name in ("lost", "doubled", "held", "changed")) > 50
