"""How fast events are, and what watching costs: `python tests/bench/bench_events.py`.

A real etcd and a real Salt master on loopback. It prints the time from a change of a leader in
etcd to the event on Salt's bus and to the line in the journal, what a burst of a thousand events
becomes, and what a watch over a thousand clusters costs. Nothing fails because a machine is slow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("extmods", "tests/support", "."):
    sys.path.insert(0, str(ROOT / folder))

from chain import Chain  # noqa: E402
from daemons import EtcdCluster, until  # noqa: E402

from pigsty.clients.etcd import Etcd, encode  # noqa: E402

#: Goals: seconds to the bus (p95), MiB and share of a core for a thousand clusters.
TO_BUS, MEMORY, IDLE = 0.3, 200, 0.02
BURST = 1000
PATIENCE = 900.0
MEMBERS = 3
TICKS = os.sysconf("SC_CLK_TCK")
WATCH = """
import sys, threading
sys.path[:0] = sys.argv[1:3]
from daemons import WATCHER, PASSWORD
from pigsty.clients.etcd import Etcd
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Source
from pigsty.watcher import Watcher
import salt.utils.event  # what the engine's process holds besides
client = Etcd("127.0.0.1", int(sys.argv[3]), *sys.argv[4:7])
store = EtcdStore([client], WATCHER, PASSWORD)
tell = lambda change: print(change.cluster, change.data.get("leader"), flush=True)
Watcher(lambda: Source(store, "/pg/"), tell).run(threading.Event())
"""


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of figures."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def to_the_bus(chain: Chain, root: Etcd, times: int) -> None:
    """Measure a leader's change to its event, and to its line."""
    bus, line = [], []
    with chain.bus() as events:
        events.subscribe("pigsty/pgsql/a/leader")
        for number in range(times):
            leader = f"a-{2 - number % 2}"
            begin = time.monotonic()
            chain.etcd.put(root, "/pg/a/leader", leader)
            while (found := events.get_event(tag="pigsty/pgsql/a/leader", wait=30)) is not None:
                if found["leader"] == leader:
                    break
            bus.append(time.monotonic() - begin)
            until("it is followed", lambda name=leader: chain.followed("a", name), PATIENCE)  # type: ignore[misc]
            line.append(time.monotonic() - begin)
    for what, values in (("on the bus", bus), ("followed, in the journal", line)):
        p50, p95 = statistics.median(values), percentile(values, 0.95)
        print(f"leader change, {what}: p50 {p50:.3f} s, p95 {p95:.3f} s, max {max(values):.3f} s")
    print(f"goal: on the bus p95 {TO_BUS} s")


def burst(chain: Chain, root: Etcd) -> None:
    """Measure a thousand events at once."""
    before = len(chain.entries())
    begin = time.monotonic()
    with chain.bus() as bus:
        for number in range(BURST):
            name = chain.clusters[number % len(chain.clusters)]
            bus.fire_event({"cluster": name, "leader": f"{name}-1"}, f"pigsty/pgsql/{name}/leader")
    fired = time.monotonic() - begin
    chain.etcd.put(root, "/pg/a/leader", "a-2")
    until("the last leader is followed", lambda: chain.followed("a", "a-2"), PATIENCE)
    followed = time.monotonic() - begin
    until("all are written down", lambda: len(chain.entries()) >= before + BURST, PATIENCE)
    until("nothing waits", chain.idle, PATIENCE)
    seconds = time.monotonic() - begin
    told = chain.entries()[before:]
    reactions = {entry.reaction.id for entry in told if entry.reaction}
    print(
        f"burst of {BURST}: fired in {fired:.1f} s, the real change among them followed after "
        f"{followed:.1f} s, all written down after {seconds:.1f} s, {len(reactions)} reactions for "
        f"{len(chain.clusters)} clusters (goal: one each)"
    )


def thousand(clusters: int, seconds: float) -> None:
    """Measure the watch over many clusters that are idle, and over many that write."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        etcd = EtcdCluster(Path(folder))
        etcd.start()
        root = etcd.root()
        state = '{"conn_url": "postgres://10.1.1.1:5432/postgres", "state": "running", '
        state += '"api_url": "https://10.1.1.1:8008/patroni", "role": "replica", "timeline": 1}'
        for number in range(clusters):
            name = f"pg-{number}"
            pairs = {f"members/{name}-{seq}": state for seq in range(1, MEMBERS + 1)}
            pairs |= {"leader": f"{name}-1", "config": '{"ttl": 30}' * 20, "status": "{}"}
            puts = [
                {"request_put": {"key": encode(f"/pg/{name}/{key}"), "value": encode(value)}}
                for key, value in pairs.items()
            ]
            root.call("kv/txn", {"success": puts})
        words = [str(ROOT / "extmods"), str(ROOT / "tests/support"), str(etcd.ports[0])]
        command = [sys.executable, "-c", WATCH, *words, etcd.ca, etcd.cert, etcd.key]
        watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert watch.stdout is not None
            # It watches once it tells of a change.
            until("it watches", lambda: _flip(etcd, root, watch), PATIENCE)
            begin = _cpu(watch.pid)
            time.sleep(seconds)
            idle = (_cpu(watch.pid) - begin) / seconds
            begin, end, writes = _cpu(watch.pid), time.monotonic() + seconds, 0
            while time.monotonic() < end:
                etcd.put(root, f"/pg/pg-{writes % clusters}/status", f'{{"optime": {writes}}}')
                writes += 1
            busy = (_cpu(watch.pid) - begin) / seconds
            memory = _memory(watch.pid)
        finally:
            watch.kill()
            etcd.stop()
    print(
        f"{clusters} clusters of {MEMBERS}: {memory:.0f} MiB (goal {MEMORY}), idle "
        f"{100 * idle:.2f} % of a core (goal {100 * IDLE:.0f} %), "
        f"{100 * busy:.1f} % with {writes / seconds:.0f} writes a second"
    )


def _flip(etcd: EtcdCluster, root: Etcd, watch: subprocess.Popen[str]) -> bool:
    import select

    for leader in ("pg-0-2", "pg-0-1"):
        etcd.put(root, "/pg/pg-0/leader", leader)
    return bool(select.select([watch.stdout], [], [], 1)[0])


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int) -> float:
    """Return the memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(argv: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=50, help="changes of a leader")
    parser.add_argument(
        "--clusters", type=int, default=1000, help="clusters that are watched, 0 for none"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long idling is measured")
    options = parser.parse_args(argv)
    if options.clusters:
        thousand(options.clusters, options.seconds)
    with tempfile.TemporaryDirectory(prefix="chain-", dir="/tmp") as folder:
        chain = Chain(Path(folder))
        try:
            root = chain.start()
            to_the_bus(chain, root, options.times)
            burst(chain, root)
        finally:
            chain.stop()


if __name__ == "__main__":
    main()
