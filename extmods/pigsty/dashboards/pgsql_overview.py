"""All PostgreSQL clusters."""

from __future__ import annotations

from pigsty.dashboards.common import (
    ALERTS,
    BACKUP,
    CLS,
    KEY_CLUSTER,
    KEY_INSTANCE,
    OVERVIEW,
    PATRONI,
    PGSQL,
    REPLICATION,
    TO_CLUSTER,
    TO_INSTANCE,
    UP,
    USAGE,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Limits,
    Link,
    Row,
    bars,
    chart,
    q,
    stat,
    table,
)

PAGE = Dashboard(
    PGSQL,
    "PostgreSQL",
    "PostgreSQL",
    "All clusters and all their members.",
    variables=(),
    rows=(
        Row(
            "",
            (
                stat("Clusters", "number", "count(pg:cls:count)"),
                stat("Servers up", "number", "pg:all:up"),
                stat("Servers down", "number", "pg:all:count - pg:all:up", limits=Limits(1, 1)),
                stat("Transactions", "ops", "pg:all:xact_rate1m"),
                stat(
                    "Queries by the pool",
                    "ops",
                    "pgbouncer:all:qps_1m",
                    meaning="What PgBouncer passed on, everywhere.",
                ),
                stat("Data", "bytes", "pg:all:size"),
            ),
        ),
        Row(
            "Clusters",
            (
                table(
                    "Clusters",
                    (KEY_CLUSTER,),
                    Column("Leader", "pg:ins:is_primary == 1", label="ins"),
                    Column("Primaries", "pg:cls:primaries", limits=UP),
                    Column("Up", "pg:cls:up"),
                    Column("Streaming", "pg:cls:streaming", link=Link(REPLICATION, CLS)),
                    Column("Lag", "pg:cls:lag_bytes", "bytes", Limits(2**20, 2**26)),
                    Column("Pressure", "pg:cls:pressure", "ratio", USAGE),
                    Column("Transactions", "pg:cls:xact_rate1m", "ops"),
                    Column("Size", "pg:cls:size", "bytes"),
                    Column("Timeline", "pg:cls:timeline", link=Link(PATRONI, CLS)),
                    Column(
                        "Last backup",
                        "pg:cls:backup_age",
                        "seconds",
                        Limits(90000, 172800),
                        link=Link(BACKUP, CLS),
                    ),
                ),
                chart(
                    "Pressure",
                    "ratio",
                    q("pg:cls:pressure", "{{cls}}"),
                    limits=USAGE,
                    link=TO_CLUSTER,
                ),
                chart("Transactions", "ops", q("pg:cls:xact_rate1m", "{{cls}}"), link=TO_CLUSTER),
                chart("Lag", "bytes", q("pg:cls:lag_bytes", "{{cls}}"), link=TO_CLUSTER),
            ),
        ),
        Row(
            "Members",
            (
                table(
                    "Members",
                    (KEY_CLUSTER, KEY_INSTANCE),
                    Column("Up", "pg:ins:up", "up", UP),
                    Column("Primary", "pg:ins:is_primary", "yes"),
                    Column("Version", "pg_setting_server_version_num / 10000"),
                    Column("Connections", "pg:ins:conn_usage", "ratio", USAGE),
                    Column("Active", "pg:ins:active"),
                    Column("Blocked", "pg:ins:blocked", limits=Limits(1, 5)),
                    Column("Transactions", "pg:ins:xact_rate1m", "ops"),
                    Column("Size", "pg:ins:size", "bytes"),
                    Column("Log", "pg:ins:wal_size", "bytes"),
                    Column("Numbers used", "pg:ins:xid_usage", "ratio", Limits(0.5, 0.8)),
                    Column("Running for", "pg:ins:uptime", "seconds"),
                    meaning="Numbers used: how near the oldest row is to the last transaction id.",
                    height=7,
                ),
                bars("Busiest", "ratio", "pg:ins:pressure", limits=USAGE, link=TO_INSTANCE),
                bars("Largest", "bytes", "pg:ins:size", link=TO_INSTANCE),
                bars(
                    "Longest transactions",
                    "seconds",
                    "pg:ins:xact_time",
                    limits=Limits(300, 3600),
                    link=TO_INSTANCE,
                ),
            ),
        ),
    ),
    links=(Link(OVERVIEW), Link(ALERTS)),
)
