"""One PostgreSQL cluster."""

from __future__ import annotations

from pigsty.dashboards.common import (
    BACKUP,
    CLS,
    CLUSTER,
    KEY_INSTANCE,
    NODE_CLUSTER,
    OF_CHOSEN,
    OF_CLUSTER,
    PG_CLS,
    PGSQL,
    REPLICATION,
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
    alerts,
    chart,
    q,
    stat,
    table,
)

_C = 'cls="$cls"'

PAGE = Dashboard(
    CLUSTER,
    "Cluster",
    "PostgreSQL",
    "One cluster: who leads, who follows, how busy they are.",
    variables=(PG_CLS,),
    rows=(
        Row(
            "",
            (
                stat(
                    "Leader",
                    "number",
                    q(f"pg:ins:is_primary{{{_C}}} == 1", "{{ins}}"),
                    meaning="Who takes writes.",
                    empty="Nobody leads.",
                    link=TO_INSTANCE,
                ),
                stat("Members up", "number", f"pg:cls:up{{{_C}}}"),
                stat(
                    "Streaming replicas",
                    "number",
                    f"pg:cls:streaming{{{_C}}}",
                    link=Link(REPLICATION, CLS),
                ),
                stat(
                    "Lag",
                    "bytes",
                    f"pg:cls:lag_bytes{{{_C}}} or 0 * pg:cls:up{{{_C}}}",
                    limits=Limits(2**20, 2**26),
                    link=Link(REPLICATION, CLS),
                ),
                stat(
                    "Pressure",
                    "ratio",
                    f"pg:cls:pressure{{{_C}}}",
                    limits=USAGE,
                    meaning="Processors, connections or statements: the one nearest its limit.",
                ),
                stat(
                    "Last backup",
                    "seconds",
                    f"pg:cls:backup_age{{{_C}}}",
                    limits=Limits(90000, 172800),
                    empty="No backup yet.",
                    link=Link(BACKUP, CLS),
                ),
            ),
        ),
        Row(
            "Members",
            (
                table(
                    "Members",
                    (KEY_INSTANCE,),
                    Column("Address", f"pg:ins:up{{{_C}}}", label="ip"),
                    Column("Up", f"pg:ins:up{{{_C}}}", "up", UP),
                    Column("Primary", f"pg:ins:is_primary{{{_C}}}", "yes"),
                    Column("Lag", f"pg:ins:lag_bytes{{{_C}}}", "bytes", Limits(2**20, 2**26)),
                    Column("Pressure", f"pg:ins:pressure{{{_C}}}", "ratio", USAGE),
                    Column("Connections", f"pg_instance_clients{{{_C}}}"),
                    Column("Active", f"pg:ins:active{{{_C}}}"),
                    Column("Transactions", f"pg:ins:xact_rate1m{{{_C}}}", "ops"),
                    Column("Size", f"pg:ins:size{{{_C}}}", "bytes"),
                    Column("Running for", f"pg:ins:uptime{{{_C}}}", "seconds"),
                    height=4,
                ),
                alerts("Alerts of this cluster", _C, height=4),
            ),
        ),
        Row(
            "Load",
            (
                chart("Transactions", "ops", f"pg:ins:xact_rate1m{{{_C}}}", link=TO_INSTANCE),
                chart(
                    "Pressure", "ratio", f"pg:ins:pressure{{{_C}}}", limits=USAGE, link=TO_INSTANCE
                ),
                chart("Active connections", "number", f"pg:ins:active{{{_C}}}", link=TO_INSTANCE),
                chart(
                    "Processors in use",
                    "ratio",
                    f"node:ins:cpu_usage_1m and on (ip) pg:ins:up{{{_C}}}",
                    limits=USAGE,
                    link=Link(NODE_CLUSTER, CLS),
                ),
                chart(
                    "Lag",
                    "bytes",
                    f"pg:ins:lag_bytes{{{_C}}}",
                    empty="There is no replica.",
                    link=TO_INSTANCE,
                ),
                chart("Log written", "bytes/s", f"pg:ins:wal_rate1m{{{_C}}}", link=TO_INSTANCE),
            ),
        ),
    ),
    links=(Link(PGSQL), *OF_CLUSTER[1:], Link(NODE_CLUSTER, CLS)),
    marks=OF_CHOSEN,
)
