"""The whole deployment on one page."""

from __future__ import annotations

from pigsty.dashboards.common import (
    ALERTS,
    BACKUP,
    CLS,
    ETCD,
    KEY_CLUSTER,
    NODES,
    OVERVIEW,
    PGSQL,
    SALT,
    TO_CLUSTER,
    TO_NODE,
    USAGE,
    critical,
    led,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Limits,
    Link,
    Row,
    alerts,
    bars,
    chart,
    q,
    stat,
    table,
)

PAGE = Dashboard(
    OVERVIEW,
    "Overview",
    "Deployment",
    "Whether every machine and every database is well.",
    variables=(),
    rows=(
        Row(
            "",
            (
                stat(
                    "Alerts",
                    "number",
                    'count(ALERTS{alertstate="firing"}) or vector(0)',
                    limits=Limits(1, 5),
                    link=Link(ALERTS),
                ),
                stat(
                    "Nodes down",
                    "number",
                    "node:all:count - node:all:up",
                    limits=Limits(1, 1),
                    link=Link(NODES),
                ),
                stat(
                    "Servers down",
                    "number",
                    "pg:all:count - pg:all:up",
                    limits=Limits(1, 1),
                    link=Link(PGSQL),
                ),
                stat("Transactions", "ops", "pg:all:xact_rate1m", link=Link(PGSQL)),
                stat("Data", "bytes", "pg:all:size", link=Link(PGSQL)),
                stat(
                    "Processors in use",
                    "ratio",
                    "node:all:cpu_usage_1m",
                    limits=USAGE,
                    link=Link(NODES),
                ),
            ),
        ),
        Row(
            "Clusters",
            (
                table(
                    "PostgreSQL clusters",
                    (KEY_CLUSTER,),
                    Column(
                        "Leader",
                        "pg:ins:is_primary == 1",
                        label="ins",
                    ),
                    Column("Up", "pg:cls:up"),
                    Column("Members", "pg:cls:count"),
                    Column("Lag", "pg:cls:lag_bytes", "bytes", Limits(2**20, 2**26)),
                    Column("Pressure", "pg:cls:pressure", "ratio", USAGE),
                    Column("Transactions", "pg:cls:xact_rate1m", "ops"),
                    Column("Size", "pg:cls:size", "bytes"),
                    Column(
                        "Last backup",
                        "pg:cls:backup_age",
                        "seconds",
                        Limits(90000, 172800),
                        link=Link(BACKUP, CLS),
                    ),
                    meaning="Lag is what the slowest replica has still to replay.",
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                alerts("What fires now", "", width=8),
                chart(
                    "Alerts by level",
                    "number",
                    q('count by (severity) (ALERTS{alertstate="firing"})', "{{severity}}"),
                    stack=True,
                    empty="No alert has fired in this time.",
                    link=Link(ALERTS),
                ),
            ),
        ),
        Row(
            "Load",
            (
                bars(
                    "Pressure of clusters",
                    "ratio",
                    q("pg:cls:pressure", "{{cls}}"),
                    limits=USAGE,
                    link=TO_CLUSTER,
                ),
                bars(
                    "Processors of nodes",
                    "ratio",
                    "node:ins:cpu_usage_1m",
                    limits=USAGE,
                    link=TO_NODE,
                ),
                bars(
                    "Fullest file systems",
                    "ratio",
                    q("max by (ins) (node:fs:space_usage)", "{{ins}}"),
                    limits=USAGE,
                    link=TO_NODE,
                ),
                chart(
                    "Transactions",
                    "ops",
                    q("pg:cls:xact_rate1m", "{{cls}}"),
                    stack=True,
                    link=TO_CLUSTER,
                ),
                chart("Memory in use", "ratio", "node:ins:mem_usage", limits=USAGE, link=TO_NODE),
                chart(
                    "Targets that answer",
                    "number",
                    q("infra:all:targets_up", "{{job}}"),
                    meaning="What Prometheus looks at, by job.",
                ),
            ),
        ),
    ),
    links=(Link(PGSQL), Link(NODES), Link(ETCD), Link(SALT), Link(ALERTS)),
    marks=(led(), critical()),
)
