"""Every alert of ours with series that raise it and series that clear it, as promtool's own test.

A series is its name with labels, its value while something is wrong, and its value afterwards: a
number, ``+n`` for one that grows by n at each scrape, or None for one that isn't there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Value = float | str | None
Series = tuple[str, Value, Value]

SCRAPE = 10
#: Scrapes while something is wrong, and afterwards.
QUICK = (40, 45)
SLOW = (150, 150)
#: Alerts that wait for a quarter of an hour or longer, before they fire or before they clear.
WAITING = (
    "NodeFsFullSoon",
    "PatroniPaused",
    "PgBackupNone",
    "PostgresChecksumFailure",
    "PostgresPendingRestart",
)

I1 = 'cls="pg-test",ins="pg-test-1",ip="10.10.10.11"'
I2 = 'cls="pg-test",ins="pg-test-2",ip="10.10.10.12"'
I3 = 'cls="pg-test",ins="pg-test-3",ip="10.10.10.13"'
GONE = 'cls="pg-dr",ins="pg-dr-1",ip="10.10.10.13"'
DISK = f'{I1},device="vda1",mountpoint="/",fstype="ext4"'


def _up(component: str, job: str, labels: str = I1) -> str:
    return f'up{{{labels},component="{component}",job="{job}"}}'


def _vrrp(name: str, labels: str, prefix: str = "vrrp_") -> str:
    own = 'iname="pigsty_9",intf="eth0",ip_address="10.10.10.2",vrid="9"'
    return f"keepalived_{prefix}{name}{{{labels},{own}}}"


def _bucket(name: str, le: str) -> str:
    return f'{name}_bucket{{{I1},le="{le}"}}'


def _slow(name: str) -> list[Series]:
    """Return a histogram whose requests are slow, then quick."""
    return [
        (_bucket(name, "0.01"), 0, "+10"),
        (_bucket(name, "1"), "+10", "+10"),
        (_bucket(name, "+Inf"), "+10", "+10"),
    ]


PRIMARY: Series = (f'pg_instance_in_recovery{{{I1},job="pgsql"}}', 0, 0)
PING = f'probe_success{{{I1},job="ping"}}'

ALERTS: dict[str, list[Series]] = {
    # node.yml
    "NodeDown": [(_up("node", "node"), 0, 1), (PING, 0, 1)],
    "NodeExporterDown": [(_up("node", "node"), 0, 1), (PING, 1, 1)],
    "HaproxyDown": [(_up("haproxy", "node"), 0, 1)],
    "KeepalivedDown": [(f"keepalived_up{{{I1}}}", 0, 1)],
    "NodeVipNoMaster": [(_vrrp("state", I1), 1, 2), (_vrrp("state", I2), 0, 1)],
    "NodeVipDown": [
        (f'probe_success{{{I1},job="node-vip",vip="10.10.10.2"}}', 0, 1),
        (_vrrp("state", I1), 2, 2),
    ],
    "NodeVipSplit": [(_vrrp("state", I1), 2, 2), (_vrrp("state", I2), 2, 1)],
    "NodeVipFlaps": [
        (_vrrp("become_master_total", I1, ""), "+1", "+0"),
        (_vrrp("become_master_total", I2, ""), "+1", "+0"),
    ],
    "NodeCpuHigh": [(f'node_cpu_seconds_total{{{I1},cpu="0",mode="idle"}}', "+1", "+9")],
    "NodeLoadHigh": [
        (f"node_load1{{{I1}}}", 5, 0.1),
        (f'node_cpu_seconds_total{{{I1},cpu="0",mode="idle"}}', "+9", "+9"),
    ],
    "NodeOutOfMem": [
        (f"node_memory_MemAvailable_bytes{{{I1}}}", 5, 50),
        (f"node_memory_MemTotal_bytes{{{I1}}}", 100, 100),
    ],
    "NodeMemSwapped": [
        (f"node_memory_SwapFree_bytes{{{I1}}}", 50, 100),
        (f"node_memory_SwapTotal_bytes{{{I1}}}", 100, 100),
    ],
    "NodeFsSpaceFull": [
        (f"node_filesystem_avail_bytes{{{DISK}}}", 5, 50),
        (f"node_filesystem_size_bytes{{{DISK}}}", 100, 100),
    ],
    "NodeFsFilesFull": [
        (f"node_filesystem_files_free{{{DISK}}}", 5, 50),
        (f"node_filesystem_files{{{DISK}}}", 100, 100),
    ],
    "NodeFsFullSoon": [
        (f"node_filesystem_avail_bytes{{{DISK}}}", "300-1", 300),
        (f"node_filesystem_size_bytes{{{DISK}}}", 1000, 1000),
    ],
    "NodeFdFull": [
        (f"node_filefd_allocated{{{I1}}}", 95, 5),
        (f"node_filefd_maximum{{{I1}}}", 100, 100),
    ],
    "NodeDiskSlow": [
        (f'node_disk_reads_completed_total{{{I1},device="vda"}}', "+10", "+10"),
        (f'node_disk_writes_completed_total{{{I1},device="vda"}}', "+0", "+0"),
        (f'node_disk_read_time_seconds_total{{{I1},device="vda"}}', "+1", "+0.01"),
        (f'node_disk_write_time_seconds_total{{{I1},device="vda"}}', "+0", "+0"),
    ],
    "NodeTcpErrHigh": [(f"node_netstat_Tcp_InErrs{{{I1}}}", "+50", "+0")],
    "NodeTcpRetransHigh": [
        (f"node_netstat_Tcp_RetransSegs{{{I1}}}", "+50", "+0"),
        (f"node_netstat_Tcp_OutSegs{{{I1}}}", "+1000", "+1000"),
    ],
    "NodeTimeDrift": [(f"node_timex_sync_status{{{I1}}}", 0, 1)],
    # pgsql.yml
    "PostgresDown": [(f"pg_up{{{I1}}}", 0, 1)],
    "PostgresExporterDown": [(_up("postgres", "pgsql"), 0, 1)],
    "PgbouncerDown": [(f"pgbouncer_up{{{I1}}}", 0, 1)],
    "PgbouncerExporterDown": [(_up("pgbouncer", "pgsql"), 0, 1)],
    "PatroniDown": [(_up("patroni", "patroni"), 0, 1)],
    "PatroniFailSafeActive": [(f"patroni_failsafe_mode_is_active{{{I1}}}", 1, 0)],
    "PatroniPaused": [(f"patroni_is_paused{{{I1}}}", 1, 0)],
    "PostgresRestart": [(f"pg_instance_start_time{{{I1}}}", "+10", 0)],
    "PostgresPartition": [
        (f'pg_instance_in_recovery{{{I1},job="pgsql"}}', 1, 0),
        (f'pg_instance_in_recovery{{{I2},job="pgsql"}}', 1, 1),
    ],
    "PostgresSplitBrain": [PRIMARY, (f'pg_instance_in_recovery{{{I2},job="pgsql"}}', 0, 1)],
    "PostgresPressureHigh": [
        (f"pg_instance_clients{{{I1}}}", 90, 10),
        (f"pg_instance_clients_max{{{I1}}}", 100, 100),
    ],
    # It clears when the best of the last five minutes is no better.
    "PostgresReplicationBreak": [
        *((_up("postgres", "pgsql", labels), 1, 1) for labels in (I1, I2, I3)),
        (f'pg_replica_streaming{{{I1},replica="pg-test-2"}}', 1, 1),
        (f'pg_replica_streaming{{{I1},replica="pg-test-3"}}', "1 for 20", None),
    ],
    "PostgresReplicaNotStreaming": [
        (f'pg_instance_in_recovery{{{I2},job="pgsql"}}', 1, 1),
        (f"pg_instance_receiving{{{I2}}}", 0, 1),
    ],
    "PostgresReplicationLag": [
        (f'pg_replica_unreplayed{{{I1},replica="pg-test-2"}}', 5000000, 0),
    ],
    "PostgresXidWarpAround": [(f'pg_db_xid_age{{{I1},datname="test"}}', 2000000000, 50000000)],
    "PostgresConnUsageHigh": [
        (f"pg_instance_clients{{{I1}}}", 90, 10),
        (f"pg_instance_clients_max{{{I1}}}", 100, 100),
    ],
    "PostgresIdleInXact": [
        (f'pg_activity_count{{{I1},datname="test",state="idle in transaction"}}', 3, 0),
    ],
    "PostgresPendingRestart": [(f"pg_setting_pending_restart{{{I1}}}", 2, 0)],
    "PostgresArchiverFailing": [(f"pg_archiver_failing{{{I1}}}", 1, 0), PRIMARY],
    "PostgresSlotRetainsWal": [(f'pg_slot_retained{{{I1},slot="cdc"}}', 5000000000, 0)],
    "PostgresChecksumFailure": [
        (f'pg_db_checksum_failures{{{I1},datname="test"}}', "+1", "+0"),
    ],
    "PgbouncerClientQueue": [
        (f'pgbouncer_pools_client_waiting_connections{{{I1},database="test"}}', 5, 0),
    ],
    "PgbouncerQuerySlow": [
        (f'pgbouncer_stats_queries_pooled_total{{{I1},database="test"}}', "+100", "+100"),
        (f'pgbouncer_stats_queries_duration_seconds_total{{{I1},database="test"}}', "+5", "+0.1"),
    ],
    "PgBackupMissing": [
        (f'pgbackrest_backup_since_last_completion_seconds{{{I1},backup_type="full"}}', 2e5, 100),
    ],
    "PgBackupNone": [
        (f"pgbackrest_exporter_info{{{I1}}}", 1, 1),
        (f'pgbackrest_backup_since_last_completion_seconds{{{I1},backup_type="full"}}', None, 1),
    ],
    "PgBackupFailed": [
        (f'pgbackrest_backup_last_error_status{{{I1},backup_type="full"}}', 1, 0),
    ],
    # The drill of a cluster is told by the node exporter of the admin node.
    "PgDrillFailed": [('pigsty_drill_success{cls="infra",cluster="pg-test"}', 0, 1)],
    # infra.yml
    "InfraDown": [(_up("prometheus", "infra"), 0, 1)],
    "PortalDown": [(f"nginx_up{{{I1}}}", 0, 1)],
    "AgentDown": [(_up("pgbackrest", "pgsql"), 0, 1)],
    "TargetMissing": [
        ('pigsty_targets{target_job="node"}', 2, 2),
        (_up("node", "pg-test"), 1, 1),
        (_up("node", "pg-test", I2), None, 1),
    ],
    "MetricsNotStored": [(f"prometheus_tsdb_wal_writes_failed_total{{{I1}}}", "+1", "+0")],
    "PrometheusConfigBad": [(f"prometheus_config_last_reload_successful{{{I1}}}", 0, 1)],
    "PrometheusRuleFailing": [
        (f"prometheus_rule_evaluation_failures_total{{{I1}}}", "+1", "+0"),
    ],
    "AlertsNotSent": [
        # Routes of people try for minutes before a notification counts as failed.
        (
            f'alertmanager_notification_requests_failed_total{{{I1},integration="email"}}',
            "+1",
            "+0",
        ),
    ],
    "EtcdServerDown": [(_up("etcd", "etcd"), 0, 1)],
    "EtcdNoLeader": [(f"etcd_server_has_leader{{{I1}}}", 0, 1)],
    "EtcdQuotaFull": [
        (f"etcd_mvcc_db_total_size_in_bytes{{{I1}}}", 95, 5),
        (f"etcd_server_quota_backend_bytes{{{I1}}}", 100, 100),
    ],
    "EtcdNetworkPeerRTSlow": _slow("etcd_network_peer_round_trip_time_seconds"),
    "EtcdWalFsyncSlow": _slow("etcd_disk_wal_fsync_duration_seconds"),
    "CertificateExpires": [(f'pigsty_certificate_end{{{I1},role="pgsql"}}', 1e6, 1e8)],
    "ConvergeFailing": [(f"pigsty_converge_failed{{{I1}}}", 2, 0)],
    "ConvergeDrift": [(f"pigsty_drift_states{{{I1}}}", 2, 0)],
    "MinionLost": [(f"pigsty_minion_connected{{{I1}}}", 0, 1)],
    "MinionImpostor": [(f"pigsty_minion_impostor{{{I1}}}", 1, 0)],
    "MinionUnknown": [(f'pigsty_keys_unknown{{{I1},host="elsewhere"}}', 2, 0)],
    "ReactionsFailing": [
        (f'pigsty_reactions_ended{{{I1},kind="pgsql.leader",result="failed"}}', 1, 0),
    ],
    "ReactionsStuck": [(f"pigsty_reaction_overdue_seconds{{{I1}}}", 400, 0)],
    "JournalBehind": [(f"pigsty_journal_behind_seconds{{{I1}}}", 4000, 0)],
    # Promtool's clock begins at zero.
    "EngineDead": [(f'pigsty_engine_alive_seconds{{{I1},engine="dcs"}}', -1000, 100000)],
    "BusDropsEvents": [(f"pigsty_bus_dropped_total{{{I1}}}", "+1", "+0")],
}


#: The size of a database that an exporter misses while its server restarts, of one that was
#: dropped, and of a cluster that was removed.
_SIZE: dict[str, Any] = {
    "interval": f"{SCRAPE}s",
    "input_series": [
        {"series": f'pg_size_bytes{{{I1},datname="test"}}', "values": "7x9 stale _x5 8x60"},
        {"series": f'pg_size_bytes{{{I1},datname="gone"}}', "values": "1x9 stale _x66"},
        {"series": f"pg_up{{{I1}}}", "values": "1x9 0x6 1x60"},
        {"series": f'pg_size_bytes{{{GONE},datname="test"}}', "values": "5x9 stale _x66"},
        {"series": f"pg_up{{{GONE}}}", "values": "1x9 stale _x66"},
    ],
    "promql_expr_test": [
        {
            "expr": "pg:cls:size",
            "eval_time": asked,
            "exp_samples": [
                {"labels": f'pg:cls:size{{cls="{name}"}}', "value": size}
                for name, size in sizes.items()
            ],
        }
        for asked, sizes in (
            ("1m", {"pg-test": 8, "pg-dr": 5}),
            ("2m", {"pg-test": 8}),
            ("3m", {"pg-test": 9}),
            ("10m", {"pg-test": 8}),
        )
    ],
}


def document(rule_files: list[str]) -> str:
    """Return promtool's test: each alert fires while something is wrong, and not afterwards.

    All of them stand in one deployment, each with machines and a cluster of its own: rules are
    computed once for all, which takes seconds instead of minutes.
    """
    quick = [name for name in ALERTS if name not in WAITING]
    tests = [_test(quick, *QUICK), _test(WAITING, *SLOW), _SIZE]
    return json.dumps({"rule_files": rule_files, "evaluation_interval": "30s", "tests": tests})


def _test(names: Sequence[str], bad: int, good: int) -> dict[str, Any]:
    series, expected = [], []
    for number, name in enumerate(names):
        for selector, wrong, right in ALERTS[name]:
            values = f"{_values(wrong, bad)} {_values(right, good)}"
            series.append({"series": _own(selector, number), "values": values})
        fires = f'ALERTS{{alertname="{name}",alertstate="firing"'
        where = (f'cls="t{number}"', f'ins=~"t{number}-.*"', f'target_job="t{number}"')
        expr = f"group({' or '.join(f'{fires},{mine}}}' for mine in where)})"
        raised = [{"labels": "{}", "value": 1}]
        expected += [
            {"expr": expr, "eval_time": f"{(bad - 1) * SCRAPE}s", "exp_samples": raised},
            {"expr": expr, "eval_time": f"{(bad + good) * SCRAPE}s", "exp_samples": []},
        ]
    return {"interval": f"{SCRAPE}s", "input_series": series, "promql_expr_test": expected}


def _own(selector: str, number: int) -> str:
    """Return a series as that of a cluster and of machines that no other alert's test has."""
    own = selector.replace("pg-test", f"t{number}").replace("10.10.10.", f"machine-{number}-")
    return own.replace('target_job="node"', f'target_job="t{number}"')


def _values(value: Value, count: int) -> str:
    """Return ``count`` values in promtool's notation, which counts from zero."""
    if value is None:
        return f"_x{count}"
    if isinstance(value, str) and " for " in value:
        first, _, length = value.partition(" for ")
        return f"{first}x{int(length) - 1} stale _x{count - int(length) - 1}"
    if isinstance(value, str) and value.startswith("+"):
        return f"0{value}x{count - 1}"
    return f"{value}x{count - 1}"
