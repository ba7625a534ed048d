"""One PostgreSQL server."""

from __future__ import annotations

from pigsty.dashboards.common import (
    DATABASE,
    INS,
    INSTANCE,
    OF_CHOSEN,
    OF_INSTANCE,
    PG_CLS,
    PG_INS,
    QUERIES,
    TO_DATABASE,
    TO_NODE,
    UP,
    USAGE,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    alerts,
    chart,
    q,
    stat,
    table,
)

_I = 'ins="$ins"'

PAGE = Dashboard(
    INSTANCE,
    "Instance",
    "PostgreSQL",
    "One server: connections, waits, log, checkpoints, vacuum.",
    variables=(PG_CLS, PG_INS),
    rows=(
        Row(
            "",
            (
                stat("Up", "up", f"pg:ins:up{{{_I}}}", limits=UP),
                stat("Primary", "yes", f"pg:ins:is_primary{{{_I}}}"),
                stat("Running for", "seconds", f"pg:ins:uptime{{{_I}}}"),
                stat("Connections", "ratio", f"pg:ins:conn_usage{{{_I}}}", limits=USAGE),
                stat("Pressure", "ratio", f"pg:ins:pressure{{{_I}}}", limits=USAGE),
                stat(
                    "Numbers used",
                    "ratio",
                    f"pg:ins:xid_usage{{{_I}}}",
                    limits=Limits(0.5, 0.8),
                    meaning="How near the oldest row is to the end of transaction ids.",
                ),
            ),
        ),
        Row(
            "Work",
            (
                chart(
                    "Transactions",
                    "ops",
                    q(f"pg:db:xact_rate1m{{{_I}}}", "{{datname}}"),
                    stack=True,
                    link=TO_DATABASE,
                ),
                chart(
                    "Rolled back",
                    "ops",
                    q(f"pg:db:rollback_rate1m{{{_I}}}", "{{datname}}"),
                    link=TO_DATABASE,
                ),
                chart(
                    "Connections by state",
                    "number",
                    q(f"sum by (state) (pg_activity_count{{{_I}}})", "{{state}}"),
                    stack=True,
                ),
                chart(
                    "What active connections wait for",
                    "number",
                    q(f"sum by (type) (pg_wait_count{{{_I}}})", "{{type}}"),
                    stack=True,
                    empty="No active connection waited at any look.",
                ),
                chart(
                    "Locks",
                    "number",
                    q(f"sum by (mode) (pg_lock_count{{{_I}}})", "{{mode}}"),
                    q(f"sum (pg_lock_waiting{{{_I}}})", "waited for"),
                ),
                chart(
                    "Longest transaction",
                    "seconds",
                    q(f"pg:ins:xact_time{{{_I}}}", "any"),
                    q(f"pg:ins:ixact_time{{{_I}}}", "idle in it"),
                    limits=Limits(300, 3600),
                ),
            ),
        ),
        Row(
            "Databases",
            (
                table(
                    "Databases",
                    (Key("datname", "Database", TO_DATABASE),),
                    Column("Size", f"pg:db:size{{{_I}}}", "bytes"),
                    Column("Connections", f"pg_db_connections{{{_I}}}"),
                    Column("Transactions", f"pg:db:xact_rate1m{{{_I}}}", "ops"),
                    Column("Rows written", f"pg:db:tup_written_rate1m{{{_I}}}", "rows/s"),
                    Column("From buffers", f"pg:db:hit_ratio5m{{{_I}}}", "ratio", Limits(0.9, 0.7)),
                    Column("Temporary files", f"pg:db:temp_bytes_rate1m{{{_I}}}", "bytes/s"),
                    Column("Deadlocks", f"pg_db_deadlocks{{{_I}}}"),
                    Column("Oldest row", f"pg_db_xid_age{{{_I}}}"),
                    height=5,
                ),
                alerts("Alerts of this server", _I, height=3),
            ),
        ),
        Row(
            "Log and checkpoints",
            (
                chart("Log written or replayed", "bytes/s", q(f"pg:ins:wal_rate1m{{{_I}}}", "log")),
                chart(
                    "Log on disk",
                    "bytes",
                    q(f"pg:ins:wal_size{{{_I}}}", "files"),
                    q(f"pg_setting_max_wal_size{{{_I}}}", "max_wal_size"),
                    q(f"pg:ins:slot_retained{{{_I}}}", "kept for slots"),
                ),
                chart(
                    "Archiving",
                    "ops",
                    q(f"rate(pg_archiver_archived{{{_I}}}[5m])", "archived"),
                    q(f"rate(pg_archiver_failed{{{_I}}}[5m])", "failed"),
                ),
                chart(
                    "Checkpoints in five minutes",
                    "number",
                    q(f"increase(pg_checkpoint_timed{{{_I}}}[5m])", "it was time"),
                    q(f"increase(pg_checkpoint_requested{{{_I}}}[5m])", "asked for"),
                    stack=True,
                ),
                chart(
                    "Pages written",
                    "ops",
                    q(f"rate(pg_checkpoint_buffers{{{_I}}}[5m])", "by checkpoints"),
                    q(f"rate(pg_bgwriter_cleaned{{{_I}}}[5m])", "by the background writer"),
                ),
                chart(
                    "Whole pages in the log",
                    "ops",
                    q(f"rate(pg_walstat_full_pages{{{_I}}}[5m])", "whole pages"),
                    q(f"rate(pg_walstat_records{{{_I}}}[5m])", "records"),
                ),
            ),
        ),
        Row(
            "Vacuum and machine",
            (
                chart(
                    "Vacuum",
                    "number",
                    q(f"pg_instance_autovacuum_workers{{{_I}}}", "workers"),
                    q(f"pg_setting_autovacuum_max_workers{{{_I}}}", "may run"),
                ),
                chart(
                    "Age of the oldest row",
                    "number",
                    q(f"pg_db_xid_age{{{_I}}}", "{{datname}}"),
                    limits=Limits(1e9, 1.7e9),
                    link=TO_DATABASE,
                ),
                chart(
                    "Processors of the machine",
                    "ratio",
                    q(f"node:ins:cpu_usage_1m and on (ip) pg:ins:up{{{_I}}}", "in use"),
                    q(f"node:ins:cpu_iowait_1m and on (ip) pg:ins:up{{{_I}}}", "wait for disks"),
                    limits=USAGE,
                    link=TO_NODE,
                ),
            ),
        ),
    ),
    links=(
        *OF_INSTANCE[:5],
        *OF_INSTANCE[6:7],
        Link(DATABASE, INS),
        Link(QUERIES, INS),
        OF_INSTANCE[9],
    ),
    marks=OF_CHOSEN,
)
