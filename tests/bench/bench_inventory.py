"""How long an inventory takes: reading, validation, and the pillar of one minion.

Run it as ``python tests/bench/bench_inventory.py``; it prints figures, ratios and the bounds that
they are meant to stay within. Nothing here fails because a machine is slow.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "extmods"))

from pigsty import inventory, platform, topology, validate  # noqa: E402
from pigsty.pillar import compile_pillar  # noqa: E402
from pigsty.pillar.site import Site  # noqa: E402

MEMBERS = 4
#: Seconds for reading and validating 1,000 hosts in a fresh process.
COLD_BOUND = 3.0
#: Milliseconds for the pillar of one minion.
PILLAR_BOUND = 12.0
COLD = """
import sys
sys.path.insert(0, sys.argv[1])
from pigsty import validate
errors = [f for f in validate.validate(sys.argv[2]) if f.severity == "error"]
assert not errors, errors[:3]
"""
HEAD = """all:
  vars:
    admin_ip: 10.1.0.1
    pigsty_profile: sandbox
    node_timezone: Etc/UTC
    node_etc_hosts: ['${admin_ip} sss.pigsty']
    pg_hba_rules:
      - { user: dbuser_view, db: all, addr: infra, auth: ssl, title: dashboards }
  children:
    infra: { hosts: { 10.1.0.1: { infra_seq: 1 } } }
    etcd: { hosts: { 10.1.0.1: { etcd_seq: 1 } } }
"""
CLUSTER = """    {name}:
      vars:
        pg_cluster: {name}
        pg_users:
          - {{ name: app{number}, password: 'p-{number}', roles: [dbrole_admin] }}
          - {{ name: view{number}, password: 'v-{number}', pgbouncer: true }}
        pg_databases:
          - {{ name: db{number}, owner: app{number}, extensions: [ {{ name: pg_trgm }} ] }}
      hosts:
"""


def text_of(hosts: int) -> str:
    """Return an inventory of that many hosts in PostgreSQL clusters of four, as people write it."""
    parts = [HEAD]
    for number in range((hosts - 1) // MEMBERS):
        parts.append(CLUSTER.format(name=f"pg-{number:05d}", number=number))
        for member in range(1, MEMBERS + 1):
            place = number * MEMBERS + member
            address = f"10.{1 + place // 62500}.{place // 250 % 250}.{2 + place % 250}"
            role = "primary" if member == 1 else "replica"
            parts.append(f"        {address}: {{ pg_seq: {member}, pg_role: {role} }}\n")
    return "".join(parts)


def median(function: Callable[[], object], rounds: int) -> float:
    """Return the median time of a call in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def pillars(file: Path, rounds: int) -> tuple[float, float]:
    """Return the seconds for a pillar: of a minion new to the process, and of a known one."""
    site, system = Site(key=b"0" * 32, ca="CA"), platform.load()
    members = list(topology.load(file).pg_instances)
    chosen = [members[len(members) * index // (rounds + 1)] for index in range(rounds)]
    queue = iter(chosen)

    def compile_one(ip: str) -> None:
        compile_pillar(topology.load(file), ip, site, system)

    compile_one(members[-1])
    fresh = median(lambda: compile_one(next(queue)), rounds)
    return fresh, median(lambda: compile_one(chosen[0]), rounds)


def figures(file: Path, hosts: int, rounds: int) -> dict[str, float]:
    """Return the figures of one inventory, seconds (pillars: milliseconds)."""
    data = file.read_bytes()
    read = inventory.parse(data)
    command = [sys.executable, "-c", COLD, str(ROOT / "extmods"), str(file)]
    fresh, known = pillars(file, 15)
    return {
        "hosts": hosts,
        "KiB": len(data) // 1024,
        "read s": median(lambda: inventory.parse(data), rounds),
        "topology s": median(lambda: topology.build(read), rounds),
        "validate s": median(lambda: validate.check(topology.build(read)), 1),
        "cold s": median(lambda: subprocess.run(command, check=True), rounds),
        "pillar ms": fresh * 1000,
        "again ms": known * 1000,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Time the core's data path.")
    parser.add_argument("--hosts", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for hosts in options.hosts:
            file = Path(folder) / f"{hosts}.yml"
            file.write_text(text_of(hosts), encoding="utf-8")
            row = figures(file, hosts, options.rounds if hosts <= 1000 else 1)
            if not rows:
                print("".join(f"{name:>11}" for name in row))
            rows.append(row)
            whole = ("hosts", "KiB")
            print("".join(f"{v:>11.0f}" if k in whole else f"{v:>11.3f}" for k, v in row.items()))
    print(
        f"bounds: cold {COLD_BOUND} s for 1,000 hosts, pillar {PILLAR_BOUND} ms; the pillar at "
        f"{options.hosts[-1]} hosts takes {rows[-1]['pillar ms'] / rows[0]['pillar ms']:.2f} times "
        f"that at {options.hosts[0]}"
    )


if __name__ == "__main__":
    main()
