"""`make powercut`: the power is cut at every flash operation of every scenario, whole and torn, and again in the recovery.

One line for each scenario and geometry; problems with all that is needed to see them again. Exit code 1 when there are
any. Without --scenario and --geometry it does what PLAN says, or with --limit a sample of that.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("lib", "tools", "host_tests", ".")]

from powercut.explore import Outcome, Recorded, explore, record  # noqa: E402
from powercut.geometry import GEOMETRIES  # noqa: E402
from powercut.scenarios import SCENARIOS  # noqa: E402
from powercut.trace import CLEAN, TORN, Cut, Distinct, sample  # noqa: E402

_LOOKS = 50  # states that are looked at, for each that is started, when only some are
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
    commit: str = ""

    def __str__(self) -> str:
        tried = f"{self.cuts} cuts, {self.torn} torn, {self.second} second"
        return (
            f"{self.scenario:12} {self.geometry:7} N = {self.operations:4}: {tried}; {self.ended} ended as they would have, "
            f"{self.repeated} repeated, {len(self.problems)} problems; {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class Plan:
    """How much of a scenario is tried. `limit`: so many first cuts, spread over it; 0: all. `torn`: all first cuts between
    two operations, and so many of those within one, spread over it; 0: all. `after`: no first cut before so many operations.

    `second`: cuts in the recovery from each first one; -1: after every operation of every recovery from a cut that was not
    torn.
    """

    scenario: str
    geometry: str
    limit: int = 0
    second: int = 0
    torn: int = 0
    after: int = 0


PLAN = (
    # On 32 sectors: everything, and the main scenario cut twice at every pair of operations.
    Plan("update", "frozen", second=-1),
    *(Plan(name, "frozen", second=1) for name in SCENARIOS if name != "update"),
    *(Plan(name, "small") for name in SCENARIOS),
    *(Plan(name, "odd") for name in ("second", "rollback")),
    # Full size.
    *(Plan(name, "4MB", limit=20, second=1) for name in ("update", "app")),
)


class Run:
    """Cuts of one recorded scenario, as `plan` says; `seed` chooses what is sampled."""

    def __init__(self, recorded: Recorded, plan: Plan, seed: int = 1, torn: tuple[str, ...] = TORN) -> None:
        self.recorded = recorded
        self.seed, self.limit, self.torn, self.second = seed, plan.limit, torn, plan.second
        self.within, self.after = plan.torn, plan.after
        self.tally = Tally(recorded.scenario.name, recorded.geometry, len(recorded.trace))
        self._distinct = Distinct()
        self._recoveries: list[Outcome] = []
        self._stop = False

    def all(self, workers: int = WORKERS, stop: bool = False) -> Tally:
        """Do it. With `stop`, only until something is wrong."""
        began = time.monotonic()
        self._stop = stop
        self._look()
        trace = self.recorded.trace
        cuts = [cut for cut in trace.cuts(self.torn) if cut.count >= self.after]
        if self.limit:
            cuts = sample(cuts, self.limit, self.seed)
        elif self.within:
            some = {*sample([cut for cut in cuts if cut.torn], self.within, self.seed)}
            cuts = [cut for cut in cuts if not cut.torn or cut in some]
        explore(self.recorded, self._new(trace.states(cuts)), workers, self._told, over=self._is_over)
        if self.second:
            self._second(workers)
        self.tally.seconds = time.monotonic() - began
        return self.tally

    def _look(self) -> None:
        """What must hold at any time is looked at in every state, started or not; of a large flash in every few."""
        cuts = self.recorded.trace.cuts(self.torn)
        if self.limit:
            cuts = sample(cuts, _LOOKS * self.limit, self.seed)
        for cut, problems in self.recorded.look(self.recorded.trace, cuts):
            self.tally.looked += 1
            for problem in problems:
                self._problem(cut, problem)
            if problems and self._stop:
                return

    def _second(self, workers: int) -> None:
        """Once more, in the recoveries."""
        explore(self.recorded, self._new(self._seconds()), workers, self._told, once=True, over=self._is_over)

    def _seconds(self) -> Iterator[tuple[Cut, bytes]]:
        for number, first in enumerate(sorted(self._recoveries, key=lambda outcome: outcome.cut.count)):
            trace = first.trace
            if trace and self.second > 0:
                cuts = trace.cuts(self.torn, first.cut)[:-1]
                yield from trace.states(sample(cuts, self.second, self.seed + number))
            elif trace and first.cut.torn == CLEAN:
                yield from trace.states(trace.cuts((), first.cut)[:-1])

    def _new(self, states: Iterable[tuple[Cut, bytes]]) -> Iterator[tuple[Cut, bytes]]:
        for cut, flash in states:
            if self._is_over():
                return
            if self._distinct.new(flash):
                yield cut, flash
            else:
                self.tally.same += 1

    def _is_over(self) -> bool:
        return self._stop and bool(self.tally.problems)

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


def run(plan: Plan, seed: int = 1, workers: int = WORKERS, stop: bool = False) -> Tally:
    """Record the scenario of `plan` and cut the power in it."""
    with tempfile.TemporaryDirectory() as home:
        recorded = record(plan.scenario, plan.geometry, Path(home) / "home")
        try:
            return Run(recorded, plan, seed).all(workers, stop)
        finally:
            recorded.close()


def plans(arguments: argparse.Namespace) -> Sequence[Plan]:
    """What is asked for: scenarios and geometries, or PLAN, or as much of PLAN as a limit leaves."""
    limit, second = arguments.limit, arguments.second
    if arguments.scenario or arguments.geometry:
        return [
            Plan(scenario, geometry, limit, second, after=arguments.after)
            for geometry in arguments.geometry or ["frozen"]
            for scenario in arguments.scenario or SCENARIOS
        ]
    if not limit:
        return PLAN
    return [
        replace(plan, limit=min(plan.limit or limit, limit), second=plan.second and (second or 1)) for plan in PLAN
    ]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", nargs="*", choices=SCENARIOS)
    parser.add_argument("--geometry", nargs="*", choices=GEOMETRIES)
    parser.add_argument("--limit", type=int, default=0, help="first cuts of a scenario, spread over it; 0: all")
    parser.add_argument("--after", type=int, default=0, help="no first cut before so many operations")
    parser.add_argument("--second", type=int, default=0, help="cuts in each recovery; -1: after every operation")
    parser.add_argument("--seed", type=int, default=1, help="for what is sampled")
    parser.add_argument("--workers", type=int, default=WORKERS, help="boards at a time")
    parser.add_argument("--stop", action="store_true", help="stop at the first problem")
    parser.add_argument("--json", type=Path, help="write what was tried there")
    arguments = parser.parse_args()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a server that is stopped on purpose complains
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    tallies = []
    for plan in plans(arguments):
        tallies.append(run(plan, arguments.seed, arguments.workers, arguments.stop))
        tallies[-1].commit = commit
        print(tallies[-1], flush=True)
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1))
    return 1 if any(tally.problems for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
