"""How long an inventory takes: reading, validation, and the pillar of one minion.

Run it as ``python tests/bench/bench_inventory.py``; it prints figures, ratios and the bounds that they
are meant to stay within. Nothing here fails because a machine is slow.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "extmods"))

from pigsty import inventory, platform, rules, topology  # noqa: E402
from pigsty.pillar import compile_pillar  # noqa: E402
from pigsty.pillar.site import Site  # noqa: E402

MEMBERS = 4
#: Seconds for reading and validating 1,000 hosts in a fresh process.
COLD_BOUND = 3.0
#: Seconds for the pillar of one minion.
PILLAR_BOUND = 0.012
COLD = """
import sys
sys.path.insert(0, sys.argv[1])
from pigsty import rules, topology
findings = rules.validate(topology.load(sys.argv[2]))
assert not [f for f in findings if f.severity == "error"], findings[:3]
"""


def text_of(hosts: int) -> str:
    """Return an inventory with so many hosts in PostgreSQL clusters of four, as people write them."""
    lines = [
        "all:",
        "  vars:",
        "    admin_ip: 10.0.0.1",
        "    pigsty_profile: sandbox",
        "    node_timezone: Etc/UTC",
        "    pg_hba_rules:",
        "      - { user: dbuser_view, db: all, addr: infra, auth: ssl, title: dashboards }",
        "  children:",
        "    infra: { hosts: { 10.0.0.1: { infra_seq: 1 } } }",
        "    etcd: { hosts: { 10.0.0.1: { etcd_seq: 1 } } }",
    ]
    for cluster in range((hosts - 1) // MEMBERS):
        name = f"pg-{cluster:05d}"
        lines += [
            f"    {name}:",
            "      vars:",
            f"        pg_cluster: {name}",
            "        pg_users:",
            f"          - {{ name: app{cluster}, password: 'p-{cluster}', roles: [dbrole_admin] }}",
            f"          - {{ name: view{cluster}, password: 'v-{cluster}', pgbouncer: true }}",
            "        pg_databases:",
            f"          - {{ name: db{cluster}, owner: app{cluster}, extensions: [ {{ name: pg_trgm }} ] }}",
            "      hosts:",
        ]
        for member in range(1, MEMBERS + 1):
            number = cluster * MEMBERS + member
            ip = f"10.{1 + number // 65025}.{number // 255 % 255}.{1 + number % 255 % 254}"
            role = "primary" if member == 1 else "replica"
            lines.append(f"        10.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}: {{ pg_seq: {member}, pg_role: {role} }}")
    return "\n".join(lines) + "\n"


def best(function: Callable[[], object], rounds: int) -> float:
    """Return the median time of a call in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cold(file: Path, rounds: int) -> float:
    """Return the time of reading and validating in a fresh process."""
    command = [sys.executable, "-c", COLD, str(ROOT / "extmods"), str(file)]
    return best(lambda: subprocess.run(command, check=True), rounds)


def pillar(file: Path, ip: str, rounds: int) -> tuple[float, float]:
    """Return the time of a minion's pillar: for one that is new to the process, and for a known one."""
    site, system = Site(key=b"0" * 32, ca="CA"), platform.load()
    found = topology.load(file)
    names = [n.ip for n in found.nodes.values() if n.cluster != "nodes"]
    chosen = [names[len(names) * i // (rounds + 1)] for i in range(rounds)]
    compile_pillar(found, names[-1], site, system)
    queue = iter(chosen)
    fresh = best(lambda: compile_pillar(topology.load(file), next(queue), site, system), rounds)
    known = best(lambda: compile_pillar(topology.load(file), chosen[0], site, system), rounds)
    return fresh, known


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{'hosts':>6} {'KiB':>6} {'read':>8} {'topology':>9} {'validate':>9} {'cold':>8} {'pillar new':>11} {'known':>8}")
    pillars: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for hosts in options.hosts:
            file = Path(folder) / f"{hosts}.yml"
            file.write_text(text_of(hosts), encoding="utf-8")
            data = file.read_bytes()
            rounds = max(1, options.rounds if hosts <= 1000 else 2)
            inventory.parse(data)
            gc.collect()
            reading = best(lambda data=data: inventory.parse(data), rounds)
            read = inventory.parse(data)
            building = best(lambda read=read: topology.build(read), rounds)
            validating = best(lambda read=read: rules.validate(topology.build(read)), 1)
            total = cold(file, rounds)
            fresh, known = pillar(file, "", 15)
            pillars.append(fresh)
            print(f"{hosts:>6} {len(data) >> 10:>6} {reading:>7.3f}s {building:>8.3f}s {validating:>8.3f}s {total:>7.3f}s {fresh * 1000:>9.2f}ms {known * 1000:>6.2f}ms")
    print(f"cold bound for 1,000 hosts {COLD_BOUND} s; pillar bound {PILLAR_BOUND * 1000:.0f} ms; "
          f"pillar at the largest : smallest = {pillars[-1] / pillars[0]:.2f}")


if __name__ == "__main__":
    main()
