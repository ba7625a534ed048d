"""How long a run without changes takes in the sandbox: `python tests/bench/bench_apply.py [RUNS]`.

The sandbox must be up and converged. It applies everything first if need be, then measures runs in
which nothing changes: in all, per node, and against the goal of 8 s for four nodes on two cores.
What one node takes alone is measured too: the ratio shows how well nodes run side by side.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIGSTY = ROOT / ".venv" / "bin" / "pigsty"
ADMIN = "10.10.10.10"
GOAL = 8.0


def apply(*words: str) -> tuple[float, dict[str, dict[str, Any]]]:
    """Apply and return the seconds on the clock and the results by host."""
    command = [PIGSTY, "sandbox", "exec", ADMIN, "--", "pigsty", "apply", "--yes", "-o", "json"]
    begin = time.monotonic()
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begin
    if done.returncode != 0:
        sys.exit(f"apply failed with {done.returncode}:\n{done.stderr}{done.stdout}")
    return seconds, {row["host"]: row for row in json.loads(done.stdout)}


def measure(runs: int, *words: str) -> tuple[list[float], dict[str, list[float]]]:
    """Apply several times; return the seconds of each run, and those of each host."""
    totals: list[float] = []
    hosts: dict[str, list[float]] = {}
    for _ in range(runs):
        seconds, results = apply(*words)
        changed = {host: row["changed"] for host, row in results.items() if row["changed"]}
        if changed:
            sys.exit(f"not a run without changes: {changed}; is somebody else at work?")
        totals.append(seconds)
        for host, row in results.items():
            hosts.setdefault(host, []).append(row["seconds"])
    return totals, hosts


def main(runs: int) -> int:
    """Print the figures; return 1 when the goal is missed."""
    _, first = apply()
    totals, hosts = measure(runs)
    states = {host: row["ok"] + row["changed"] for host, row in first.items()}
    for host, seconds in hosts.items():
        median = statistics.median(seconds)
        per_state = 1000 * median / max(states[host], 1)
        print(f"{host:<15} {median:6.2f} s  {states[host]:4} states  {per_state:5.0f} ms a state")
    alone, _ = measure(runs, ADMIN)
    job = statistics.median(max(s[run] for s in hosts.values()) for run in range(runs))
    total, one = statistics.median(totals), statistics.median(alone)
    print(f"{len(hosts)} nodes at once  {job:6.2f} s for the states (goal {GOAL:.0f} s)")
    print(f"the whole command {total:5.2f} s (min {min(totals):.2f}, max {max(totals):.2f})")
    print(f"{ADMIN} alone {one:6.2f} s; four at once take {total / one:.1f} times as long")
    return int(job > GOAL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
