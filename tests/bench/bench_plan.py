"""How long `pigsty plan` takes to find what an edit touches: ``python tests/bench/bench_plan.py``.

It prints seconds of CPU (it waits for nothing) for an edit of one host, of one cluster, and of what
every host reads, and for what the event about the edit tells. Nothing fails because a machine is
slow.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("extmods", "tests/bench"):
    sys.path.insert(0, str(ROOT / folder))

from bench_inventory import text_of  # noqa: E402

from pigsty import applied, plan, platform, touched  # noqa: E402
from pigsty.kept import Basis  # noqa: E402
from pigsty.pillar.site import Site  # noqa: E402

#: Seconds for 1,000 hosts: a person waits for it.
BOUND = 20.0
RULE = "{ user: app1, db: all, addr: 10.9.0.0/16, auth: pwd }"
#: What is edited: a text that stands in the inventory, and what comes into its place.
EDITS: dict[str, tuple[str, str]] = {
    "nothing but a comment": ("all:\n", "# edited\nall:\n"),
    "one host": ("pg_seq: 2, pg_role: replica }", "pg_seq: 2, pg_role: replica, pg_weight: 7 }"),
    "one cluster": (
        "pg_cluster: pg-00001\n",
        f"pg_cluster: pg-00001\n        pg_hba_rules: [{RULE}]\n",
    ),
    "every host": ("node_timezone: Etc/UTC", "node_timezone: Asia/Tokyo"),
}


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds of CPU that a call takes."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def look(old: Basis, now: Basis, *, told: bool) -> plan.Plan:
    """Return the plan for all hosts, as the command (with differences) or a reaction makes it."""
    system, hosts = platform.load(), tuple(now.topology.nodes)
    if not told:
        return plan.make(now, dict.fromkeys(hosts, old), system, hosts)
    before, after = applied.recording(old), applied.recording(now)
    show = applied.masker([before, after])
    return plan.make(after, dict.fromkeys(hosts, before), system, hosts, show)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=1000)
    options = parser.parse_args()
    text, site = text_of(options.hosts), Site(key=b"0" * 32, ca="CA")
    print(f"{'edit':<24}{'hosts':>7}{'event s':>10}{'reaction s':>12}{'plan s':>9}")
    for name, (there, instead) in EDITS.items():
        assert there in text, name
        old = Basis.of(text.encode(), site)
        now = Basis.of(text.replace(there, instead, 1).encode(), site)
        event = seconds(lambda: touched.between(old.topology, now.topology))  # noqa: B023
        reaction = seconds(lambda: look(old, now, told=False))  # noqa: B023
        again = Basis.of(text.encode(), site), Basis.of(now.text, site)
        found: list[plan.Plan] = []
        command = seconds(lambda: found.append(look(*again, told=True)))  # noqa: B023
        count = len(found[0].hosts)
        print(f"{name:<24}{count:>7}{event:>10.3f}{reaction:>12.2f}{command:>9.2f}")
    print(f"bound: {BOUND:.0f} s for the plan of 1,000 hosts")


if __name__ == "__main__":
    main()
