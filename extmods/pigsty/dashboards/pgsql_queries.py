"""The statements of a server that take most time."""

from __future__ import annotations

from pigsty.dashboards.common import (
    INS,
    OF_CHOSEN,
    PG_CLS,
    PG_INS,
    QUERIES,
    TO_CLUSTER,
    TO_DATABASE,
    TO_INSTANCE,
    TO_QUERY,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Link,
    Row,
    Variable,
    bars,
    chart,
    q,
    table,
)

_D = 'ins="$ins", datname=~"$datname"'
_LEGEND = "{{datname}} {{query}}"

PAGE = Dashboard(
    QUERIES,
    "Statements",
    "PostgreSQL",
    "Which statements take the time. They are told apart by number, as in pg_stat_statements.",
    variables=(
        PG_CLS,
        PG_INS,
        Variable("datname", "Database", 'pg_db_connections{ins="$ins"}', "datname", all=True),
    ),
    rows=(
        Row(
            "",
            (
                table(
                    "Statements",
                    (
                        Key("cls", "Cluster", TO_CLUSTER),
                        Key("ins", "Instance", TO_INSTANCE),
                        Key("datname", "Database", TO_DATABASE),
                        Key("query", "Statement", TO_QUERY),
                    ),
                    Column("Time of one second", f"pg:query:time_5m{{{_D}}} > 0", "seconds"),
                    Column("Calls", f"pg:query:qps_5m{{{_D}}} > 0", "ops"),
                    Column(
                        "Each",
                        f"pg:query:time_5m{{{_D}}} / (pg:query:qps_5m{{{_D}}} > 0)",
                        "seconds",
                    ),
                    Column("Rows", f"rate(pg_query_rows{{{_D}}}[5m]) > 0", "rows/s"),
                    top=30,
                    height=9,
                    meaning="Of the last five minutes. select query from pg_stat_statements "
                    "where queryid = … shows a statement's text.",
                    empty="No statement ran in five minutes.",
                ),
            ),
        ),
        Row(
            "Over time",
            (
                chart(
                    "Time",
                    "seconds",
                    q(f"topk(10, pg:query:time_5m{{{_D}}} > 0)", _LEGEND),
                    stack=True,
                    empty="No statement ran in this time.",
                    link=TO_QUERY,
                ),
                chart(
                    "Calls",
                    "ops",
                    q(f"topk(10, pg:query:qps_5m{{{_D}}} > 0)", _LEGEND),
                    stack=True,
                    empty="No statement ran in this time.",
                    link=TO_QUERY,
                ),
                bars(
                    "Log written",
                    "bytes/s",
                    q(f"rate(pg_query_wal_bytes{{{_D}}}[5m]) > 0", _LEGEND),
                    empty="No statement wrote in five minutes.",
                    link=TO_QUERY,
                ),
                bars(
                    "Pages from the system",
                    "ops",
                    q(f"rate(pg_query_blks_read{{{_D}}}[5m]) > 0", _LEGEND),
                    empty="All pages were in the buffers.",
                    link=TO_QUERY,
                ),
                bars(
                    "Pages of temporary files",
                    "ops",
                    q(f"rate(pg_query_temp_blks_written{{{_D}}}[5m]) > 0", _LEGEND),
                    empty="No statement needed a temporary file.",
                    link=TO_QUERY,
                ),
                bars(
                    "Rows",
                    "rows/s",
                    q(f"rate(pg_query_rows{{{_D}}}[5m]) > 0", _LEGEND),
                    empty="No statement ran in five minutes.",
                    link=TO_QUERY,
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, Link("pgsql-instance", INS), Link("pgsql-tables", INS)),
    marks=OF_CHOSEN,
)
