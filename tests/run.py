"""Run the tiers of tests and say what each did: `python -m tests.run [TIER…]`.

The functional tier mostly waits for its daemons: it runs beside lint and the unit tests, and what
it prints comes after theirs. The sandbox has the machine to itself, because it measures.

A tier that can't run here is reported as skipped with the reason; with PIGSTY_TEST_STRICT=1 (as the
CI sets it) a skipped tier, or a skipped test within one, is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


@dataclass
class Outcome:
    """What became of one tier: ``passed``, ``failed`` or ``skipped``, and why."""

    tier: str
    verdict: str
    seconds: float = 0.0
    tests: int = 0
    notes: list[str] = field(default_factory=list)


def _run(command: Sequence[str | Path], output: IO[str] | None = None) -> int:
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=ROOT, check=False, stdout=output, stderr=output)
    return done.returncode


def lint(_strict: bool, output: IO[str] | None) -> Outcome:
    """Run ruff and mypy."""
    commands = (
        [TOOLS / "ruff", "check", "."],
        [TOOLS / "ruff", "format", "--check", "."],
        [TOOLS / "mypy"],
    )
    failed = [" ".join(map(str, c[0:2])) for c in commands if _run(c, output)]
    return Outcome("lint", "failed" if failed else "passed", notes=failed)


def _pytest(tier: str, strict: bool, output: IO[str] | None, *more: str) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", f"tests/{tier}", f"--junitxml={report}", "-q", *more]
        code = _run([sys.executable, *words], output)
        outcome = Outcome(tier, "passed" if code == 0 else "failed")
        if not report.exists():
            return Outcome(tier, "failed", notes=["pytest wrote no report"])
        cases = list(ElementTree.parse(report).iter("testcase"))
    outcome.tests = len(cases)
    for case in cases:
        for skipped in case.iter("skipped"):
            outcome.notes.append(f"{case.get('name')} skipped: {skipped.get('message')}")
    if not cases:
        outcome.verdict, outcome.notes = "failed", ["no test was found"]
    elif strict and outcome.notes:
        outcome.verdict = "failed"
    return outcome


def unit(strict: bool, output: IO[str] | None) -> Outcome:
    """Run the pure tier."""
    return _pytest("unit", strict, output)


def functional(strict: bool, output: IO[str] | None) -> Outcome:
    """Run the tier with Salt daemons and a PostgreSQL server on loopback."""
    return _pytest("functional", strict, output)


def sandbox(strict: bool, output: IO[str] | None) -> Outcome:
    """Run the tier on real nodes; it needs root."""
    if os.geteuid() != 0:
        return Outcome("sandbox", "skipped", notes=["it needs root: run `sudo make test`"])
    # Most of a run's time goes here: what took it stands at the end.
    return _pytest("sandbox", strict, output, "--durations=25")


TIERS: dict[str, Callable[[bool, IO[str] | None], Outcome]] = {
    "lint": lint,
    "unit": unit,
    "functional": functional,
    "sandbox": sandbox,
}


def _timed(name: str, strict: bool, output: IO[str] | None = None) -> Outcome:
    started = time.monotonic()
    outcome = TIERS[name](strict, output)
    outcome.seconds = time.monotonic() - started
    return outcome


def main(names: Sequence[str]) -> int:
    """Run the named tiers (all by default) and return the exit code: 0 when all is well."""
    unknown = [name for name in names if name not in TIERS]
    if unknown:
        print(f"no such tier: {', '.join(unknown)}; there are: {', '.join(TIERS)}", file=sys.stderr)
        return 2
    strict = os.environ.get("PIGSTY_TEST_STRICT") == "1"
    wanted = [name for name in TIERS if not names or name in names]
    outcomes = []
    with ThreadPoolExecutor(1) as beside, tempfile.TemporaryFile("w+") as printed:
        functional = "functional" in wanted and len(wanted) > 1
        later = beside.submit(_timed, "functional", strict, printed) if functional else None
        for name in wanted:
            print(f"== {name}", flush=True)
            if later is None or name != "functional":
                outcomes.append(_timed(name, strict))
                continue
            outcomes.append(later.result())
            printed.seek(0)
            sys.stdout.write(printed.read())
    print("\n== summary")
    for outcome in outcomes:
        count = f"{outcome.tests} tests, " if outcome.tests else ""
        print(f"{outcome.tier:<11}{outcome.verdict:<9}{count}{outcome.seconds:.0f} s")
        for note in outcome.notes:
            print(f"           {note}")
    bad = {"failed", "skipped"} if strict else {"failed"}
    return int(any(outcome.verdict in bad for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
