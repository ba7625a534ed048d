"""How long our rules take for a large deployment: `python tests/bench/bench_rules.py [INSTANCES]`.

A real Prometheus (`prometheus` of the distribution, with promtool's own TSDB in a folder for the
run) reads synthetic metrics of so many PostgreSQL instances, each on a machine of its own, three to
a cluster, and computes the rules of states/infra/rules every ten seconds, those of a group that has
an interval of its own at that. It is measured when the windows of a minute are full; the few longer
ones hold less than they would. The goal: the groups together take at most a quarter of the time.
Without a Prometheus here, in the sandbox:

    pigsty sandbox exec 10.10.10.10 -- /opt/pigsty/venv/bin/python \
        /opt/pigsty/src/tests/bench/bench_rules.py
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RULES = Path(__file__).resolve().parents[2] / "states/infra/rules"
INTERVAL = 10
GOAL = INTERVAL / 4
#: Looks at the metrics before it is measured, and seconds that are measured: longer than the
#: longest interval of a group.
LOOKS, SECONDS = 8, 75
#: Parts that the metrics come in: each is read at another moment of the interval.
PARTS = 50
#: No run takes longer.
LIMIT = 240
#: So many of the dearest rules are named.
DEAREST = 25
#: An interval, and the seconds that each evaluation took.
Times = tuple[float, list[float]]

MODES = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")
CPU = [f'cpu="{n}",mode="{mode}"' for n in range(8) for mode in MODES]
DISK = [f'device="{name}"' for name in ("vda", "vdb")]
FILES = [f'device="/dev/{name}",mountpoint="{path}",fstype="ext4"'
         for name, path in (("vda1", "/"), ("vdb1", "/data"), ("vda2", "/boot"))]  # fmt: skip
SERVICES = ("primary", "replica", "default", "offline")
SERVERS = [f'proxy="pg-{name}",server="pg-{n}"' for name in SERVICES for n in (1, 2, 3)]
DB = [f'datname="{name}"' for name in ("postgres", "app", "jobs")]
TABLES = [f'datname="app",relname="t{n}"' for n in range(10)]
QUERIES = [f'datname="app",query="{n}"' for n in range(20)]
STATES = [
    f'{db},state="{state}"' for db in DB for state in ("active", "idle", "idle in transaction")
]
ONE = [""]
#: Job, component, labels and names of the metrics of an instance. A name with `+` is a counter.
FAMILIES: list[tuple[str, str, list[str], str]] = [
    ("node", "node", CPU, "node_cpu_seconds_total+"),
    ("node", "node", DISK, "node_disk_io_time_seconds_total node_disk_read_bytes_total+ "
     "node_disk_read_time_seconds_total node_disk_reads_completed_total+ "
     "node_disk_write_time_seconds_total node_disk_writes_completed_total+ "
     "node_disk_written_bytes_total+"),
    ("node", "node", [f'device="{d}"' for d in ("eth0", "eth1", "lo")],
     "node_network_receive_bytes_total+ node_network_transmit_bytes_total+"),
    ("node", "node", FILES, "node_filesystem_avail_bytes node_filesystem_files "
     "node_filesystem_files_free node_filesystem_size_bytes"),
    ("node", "node", ONE, "node_boot_time_seconds node_filefd_allocated node_filefd_maximum "
     "node_load1 node_memory_MemAvailable_bytes node_memory_MemTotal_bytes "
     "node_memory_SwapFree_bytes node_memory_SwapTotal_bytes node_netstat_Tcp_CurrEstab "
     "node_netstat_Tcp_InErrs node_netstat_Tcp_OutSegs+ node_netstat_Tcp_RetransSegs "
     "node_time_seconds node_timex_offset_seconds node_timex_sync_status up"),
    ("node", "node", ['role="pgsql"', 'role="node"'], "pigsty_certificate_end"),
    ("node", "node", ONE, "pigsty_minion_accepted pigsty_minion_connected pigsty_converge_failed "
     "pigsty_converge_time_seconds pigsty_drift_states"),
    ("node", "haproxy", SERVERS, "haproxy_server_status haproxy_server_sessions_total+"),
    ("node", "haproxy", [f'proxy="pg-{name}"' for name in SERVICES],
     "haproxy_backend_active_servers haproxy_frontend_current_sessions"),
    ("node", "haproxy", ONE, "up"),
    ("ping", "ping", ONE, "probe_success probe_duration_seconds"),
    ("patroni", "patroni", ONE, "patroni_failsafe_mode_is_active patroni_is_paused "
     "patroni_postgres_in_archive_recovery patroni_postgres_timeline patroni_standby_leader up"),
    ("pgsql", "postgres", STATES, "pg_activity_count pg_activity_max_xact"),
    ("pgsql", "postgres", DB, "pg_db_blks_hit+ pg_db_blks_read+ pg_db_checksum_failures "
     "pg_db_commits+ pg_db_rollbacks+ pg_db_temp_bytes+ pg_db_tup_deleted+ pg_db_tup_inserted+ "
     "pg_db_tup_updated+ pg_db_xid_age pg_size_bytes"),
    ("pgsql", "postgres", TABLES, "pg_table_dead pg_table_live pg_table_seq_tup_read+"),
    ("pgsql", "postgres", QUERIES, "pg_query_calls+ pg_query_exec_time+"),
    ("pgsql", "postgres", ONE, "pg_activity_blocked pg_archiver_failing pg_archiver_last_archived "
     "pg_checkpoint_requested+ pg_checkpoint_timed+ pg_instance_clients pg_instance_clients_max "
     "pg_instance_in_recovery pg_instance_lsn+ pg_instance_receiving pg_instance_replay_delay "
     "pg_instance_start_time pg_setting_pending_restart pg_up pg_wal_size up"),
    ("pgsql", "postgres", ['replica="pg-2"', 'replica="pg-3"'],
     "pg_replica_streaming pg_replica_unreplayed"),
    ("pgsql", "postgres", ['slot="pg_2"', 'slot="pg_3"'], "pg_slot_lost pg_slot_retained"),
    ("pgsql", "pgbouncer", [f'database="{n}"' for n in ("postgres", "app", "jobs")],
     "pgbouncer_pools_client_maxwait_seconds pgbouncer_pools_client_waiting_connections "
     "pgbouncer_stats_queries_duration_seconds_total+ pgbouncer_stats_queries_pooled_total+"),
    ("pgsql", "pgbouncer", ONE, "pgbouncer_up up"),
    ("pgsql", "pgbackrest", ['backup_type="full"', 'backup_type="diff"', 'backup_type="incr"'],
     "pgbackrest_backup_last_error_status pgbackrest_backup_since_last_completion_seconds"),
    ("pgsql", "pgbackrest", ONE, "pgbackrest_exporter_info pgbackrest_exporter_status up"),
]  # fmt: skip


#: Gauges are 1, but those that would raise an alert: all is well, and some hundred machines
#: that all burn at once would cost texts, not rules.
_ZERO = (
    "node_load1 node_timex_offset_seconds patroni_failsafe_mode_is_active patroni_is_paused "
    "patroni_standby_leader pg_activity_blocked pg_activity_count pg_activity_max_xact "
    "pg_archiver_failing pg_instance_clients pg_replica_unreplayed pg_instance_replay_delay "
    "pg_setting_pending_restart pg_slot_lost pg_slot_retained pg_db_xid_age "
    "pg_db_checksum_failures pgbackrest_backup_last_error_status "
    "pgbackrest_backup_since_last_completion_seconds pgbouncer_pools_client_maxwait_seconds "
    "pgbouncer_pools_client_waiting_connections "
    "pgbouncer_stats_queries_duration_seconds_total pigsty_converge_failed "
    "pigsty_drift_states node_filefd_allocated node_netstat_Tcp_InErrs "
    "node_netstat_Tcp_RetransSegs "
)
ZERO = frozenset(_ZERO.split())
MANY = frozenset(("pigsty_certificate_end", "pg_instance_clients_max", "node_filefd_maximum"))


def series(instances: int) -> Iterator[tuple[str, bool]]:
    """Yield every series with its value, and whether it grows instead."""
    for number in range(instances):
        cluster, member = divmod(number, 3)
        ip = f"10.{number // 62500}.{number // 250 % 250}.{number % 250}"
        place = f'cls="pg-{cluster}",ins="pg-{cluster}-{member + 1}",ip="{ip}"'
        for job, component, labels, names in FAMILIES:
            for name in names.split():
                for more in labels:
                    own = f'{place},job="{job}",component="{component}"' + (more and f",{more}")
                    plain = name.rstrip("+")
                    grows = name.endswith("+") and plain not in ZERO
                    grows = grows and ("mode=" not in more or "idle" in more)
                    # One of three leads.
                    zero = plain in ZERO or (plain == "pg_instance_in_recovery" and member == 0)
                    value = "0" if zero else "9e9" if plain in MANY else "1"
                    yield f"{plain}{{{own}}} " + ("" if grows else f"{value}\n"), grows


class Source(ThreadingHTTPServer):
    """Serves the metrics in parts, as machines would, and counts who looked."""

    def __init__(self, rows: list[tuple[str, bool]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rows, self._looks = rows, 0

    @property
    def looks(self) -> int:
        """How often all parts were looked at."""
        return self._looks // PARTS

    def page(self, part: int) -> bytes:
        """Return a part of the metrics of now."""
        self._looks += 1
        size = -(-len(self.rows) // PARTS)
        rows, grown = self.rows[part * size : (part + 1) * size], f"{int(time.time())}\n"
        return "".join(text + grown if grows else text for text, grows in rows).encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a look that was given up: it isn't a full one."""
        self._looks -= 1


class _Handler(BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        body = self.server.page(int(self.path.strip("/")))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def config(port: int, address: str) -> str:
    """Return Prometheus's configuration; it looks at itself as well, as on an infra node."""
    own = {"job_name": "infra", "static_configs": [{"targets": [address]}]}
    job = {
        "job_name": "synthetic",
        "honor_labels": True,
        "static_configs": [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"__metrics_path__": f"/{part}"}}
            for part in range(PARTS)
        ],
    }
    every = f"{INTERVAL}s"
    general = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    files = [f"{RULES}/*.yml"]
    return json.dumps({"global": general, "rule_files": files, "scrape_configs": [job, own]})


def ask(address: str, path: str) -> Any:
    """Return the data of Prometheus's API."""
    with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=30) as answer:
        return json.load(answer)["data"]


def groups(address: str) -> dict[str, dict[str, Any]]:
    """Return each group of rules: its interval, when it was last computed, how long that took."""
    return {group["name"]: group for group in ask(address, "rules")["groups"]}


def used(address: str) -> float:
    """Return the processor's seconds that Prometheus has used so far."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(x for x in lines if x.startswith("process_cpu_seconds_total ")).split()[1])


def measure(address: str) -> tuple[dict[str, Times], dict[str, Times]]:
    """Return intervals and the seconds that evaluations took: of groups, and of single rules."""
    seen = groups(address)
    found: dict[str, Times] = {name: (group["interval"], []) for name, group in seen.items()}
    single: dict[str, Times] = {
        rule["name"]: (group["interval"], []) for group in seen.values() for rule in group["rules"]
    }
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(1)
        for name, group in groups(address).items():
            if group["lastEvaluation"] != seen[name]["lastEvaluation"]:
                found[name][1].append(group["evaluationTime"])
                for rule in group["rules"]:
                    single[rule["name"]][1].append(rule["evaluationTime"])
                seen[name] = group
    return found, single


def run(program: str, instances: int, folder: Path) -> int:
    """Run the benchmark in a folder; return 1 when the goal is missed."""
    deadline = time.monotonic() + LIMIT
    source = Source(list(series(instances)))
    threading.Thread(target=source.serve_forever, daemon=True).start()
    file, port = folder / "prometheus.yml", source.server_address[1]
    address = f"127.0.0.1:{port + 1 if port < 65000 else port - 1}"
    file.write_text(config(port, address))
    words = [f"--config.file={file}", f"--storage.tsdb.path={folder}/data", "--log.level=error"]
    words += [f"--web.listen-address={address}"]
    with subprocess.Popen([program, *words]) as prometheus:
        try:
            while source.looks < LOOKS:
                time.sleep(1)
                if prometheus.poll() is not None or time.monotonic() > deadline:
                    sys.exit("Prometheus ended, or couldn't read the metrics in time")
            before = used(address)
            found, single = measure(address)
            cpu = (used(address) - before) * INTERVAL / SECONDS
            firing = len(
                {alert["labels"]["alertname"] for alert in ask(address, "alerts")["alerts"]}
            )
            broken = [rule["name"] for group in ask(address, "rules")["groups"]
                      for rule in group["rules"] if rule["health"] == "err"]  # fmt: skip
        finally:
            prometheus.terminate()
    source.shutdown()
    print(f"alerts that are pending or fire: {firing} of all names")
    print(f"processor: {cpu:.2f} s in {INTERVAL} s, with the scrapes")
    for name in sorted(single, key=lambda name: -share(single[name]))[:DEAREST]:
        print(f"  {name:<28} {1000 * share(single[name]):4.0f} ms")
    return report(instances, len(source.rows), found, broken)


def share(times: Times) -> float:
    """Return the seconds of an interval that something takes, by the median of its evaluations."""
    every, took = times
    return statistics.median(took) * INTERVAL / every if took else 0.0


def report(instances: int, count: int, found: dict[str, Times], broken: list[str]) -> int:
    """Print the figures; return 1 when the goal is missed."""
    print(f"{instances} instances, {count} series, {SECONDS} s measured")
    silent = [name for name, (_, times) in found.items() if not times]
    if silent or broken:
        print(f"no figures: groups that weren't computed: {', '.join(silent) or 'none'};", end=" ")
        print(f"rules that can't be: {', '.join(broken) or 'none'}")
        return 1
    for name, (interval, times) in found.items():
        print(f"{name:<16} {statistics.median(times):6.2f} s every {interval:.0f} s")
    whole = sum(map(share, found.values()))
    print(f"all groups       {whole:6.2f} s of {INTERVAL} s (goal {GOAL} s; medians)")
    return int(whole > GOAL)


def main(instances: int) -> int:
    """Find Prometheus and run."""
    program = shutil.which("prometheus")
    if program is None:
        print("there is no prometheus on this machine: see the top of this file")
        return 0
    with tempfile.TemporaryDirectory(prefix="pigsty-bench-") as folder:
        return run(program, instances, Path(folder))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
