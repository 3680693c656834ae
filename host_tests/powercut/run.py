"""`make powercut`: the power is cut at every flash operation of every scenario, whole and torn, and once more in the recovery.

One line for each scenario and geometry; problems with all that is needed to see them again. Exit code 1 when there are any.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("lib", "tools", "host_tests", ".")]

from powercut.explore import Outcome, Recorded, explore, record  # noqa: E402
from powercut.geometry import GEOMETRIES  # noqa: E402
from powercut.scenarios import SCENARIOS  # noqa: E402
from powercut.trace import CLEAN, TORN, Cut, Distinct, sample  # noqa: E402

WORKERS = 3 * (os.cpu_count() or 2)


@dataclass
class Tally:
    """What was tried of one scenario on one geometry, and what came of it."""

    scenario: str
    geometry: str
    operations: int = 0
    cuts: int = 0  # between two operations
    torn: int = 0  # within one
    second: int = 0  # in the recovery from another
    looked: int = 0  # states that were judged without a start
    same: int = 0  # states that had been there before
    ended: int = 0
    repeated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        tried = f"{self.cuts} cuts, {self.torn} torn, {self.second} second"
        return (
            f"{self.scenario:12} {self.geometry:7} N = {self.operations:4}: {tried}; {self.ended} ended as they would have, "
            f"{self.repeated} repeated, {len(self.problems)} problems; {self.seconds:.0f} s"
        )


class Run:
    """Cuts of one recorded scenario. `limit`: so many first cuts at most, 0: all. `second`: cuts in a recovery, -1: all."""

    def __init__(
        self, recorded: Recorded, seed: int, limit: int = 0, torn: tuple[str, ...] = TORN, second: int = 0
    ) -> None:
        self.recorded = recorded
        self.seed, self.limit, self.torn, self.second = seed, limit, torn, second
        self.tally = Tally(recorded.scenario.name, recorded.geometry, len(recorded.trace))
        self.kinds: Counter[str] = Counter()
        self._distinct = Distinct()
        self._recoveries: list[Outcome] = []

    def all(self, workers: int = WORKERS, stop: bool = False) -> Tally:
        """Do it. With `stop`, only until something is wrong."""
        began = time.monotonic()
        self._stop = stop
        self._look()
        trace = self.recorded.trace
        cuts = trace.cuts(self.torn)
        if self.limit:
            cuts = sample(cuts, self.limit, self.seed)
        explore(self.recorded, self._new(trace.states(cuts)), workers, self._told)
        if self.second:
            self._second(workers)
        self.tally.seconds = time.monotonic() - began
        return self.tally

    def _look(self) -> None:
        """What must hold at any time is looked at in every state, started or not."""
        for cut, problems in self.recorded.look(self.recorded.trace, self.torn):
            self.tally.looked += 1
            for problem in problems:
                self._problem(cut, problem)
            if problems and self._stop:
                return

    def _second(self, workers: int) -> None:
        """Once more, in the recoveries: all of them, or `second` in each that is not short."""
        for number, first in enumerate(self._recoveries):
            trace = first.trace
            if not trace:
                continue
            cuts = trace.cuts(self.torn, first.cut)[:-1]
            if self.second > 0:
                cuts = sample(cuts, self.second, self.seed + number)
            explore(self.recorded, self._new(trace.states(cuts)), workers, self._told, ask=False)

    def _new(self, states):
        for cut, flash in states:
            if self._stop and self.tally.problems:
                return
            if self._distinct.new(flash):
                yield cut, flash
            else:
                self.tally.same += 1

    def _told(self, outcome: Outcome) -> None:
        tally, cut = self.tally, outcome.cut
        if cut.after:
            tally.second += 1
        elif cut.torn == CLEAN:
            tally.cuts += 1
        else:
            tally.torn += 1
        tally.ended += outcome.kind == "ended"
        tally.repeated += outcome.repeated
        for problem in outcome.problems:
            self._problem(cut, problem, outcome.lines)
        if self.second and not cut.after:
            self._recoveries.append(outcome)
        done = tally.cuts + tally.torn + tally.second
        if sys.stderr.isatty() or done % 100 == 0:
            print(
                f"  {tally.scenario} {tally.geometry}: {done}",
                end="\r" if sys.stderr.isatty() else "\n",
                file=sys.stderr,
            )

    def _problem(self, cut: Cut, problem: str, lines: list[str] = []) -> None:  # noqa: B006 - it is only read
        self.tally.problems.append(f"{self.tally.scenario} {self.tally.geometry}, {cut}: {problem}")
        print(self.tally.problems[-1], *("    " + line for line in lines), sep="\n", file=sys.stderr)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--geometry", nargs="*", choices=GEOMETRIES, default=["small"])
    parser.add_argument("--limit", type=int, default=0, help="first cuts of a scenario, spread over it; 0: all")
    parser.add_argument("--second", type=int, default=0, help="cuts in each recovery; -1: all")
    parser.add_argument("--seed", type=int, default=1, help="for what is sampled")
    parser.add_argument("--workers", type=int, default=WORKERS, help="boards at a time")
    parser.add_argument("--stop", action="store_true", help="stop at the first problem")
    parser.add_argument("--json", type=Path, help="write what was tried there")
    arguments = parser.parse_args()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a server that is stopped on purpose complains
    tallies = []
    for geometry in arguments.geometry:
        for scenario in arguments.scenario:
            with tempfile.TemporaryDirectory() as home:
                recorded = record(scenario, geometry, Path(home) / "home")
                try:
                    run = Run(recorded, arguments.seed, arguments.limit, second=arguments.second)
                    tallies.append(run.all(arguments.workers, arguments.stop))
                finally:
                    recorded.close()
            print(tallies[-1], flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1))
    return 1 if any(tally.problems for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
