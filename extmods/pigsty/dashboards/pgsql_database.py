"""One database on one server."""

from __future__ import annotations

from pigsty.dashboards.common import (
    DATABASE,
    DB,
    OF_CHOSEN,
    PG_CLS,
    PG_DB,
    PG_INS,
    QUERIES,
    TABLES,
    TO_CLUSTER,
    TO_INSTANCE,
    TO_QUERY,
    TO_TABLE,
)
from pigsty.dashboards.model import Dashboard, Limits, Link, Row, bars, chart, q, stat

_D = 'ins="$ins", datname="$datname"'

PAGE = Dashboard(
    DATABASE,
    "Database",
    "PostgreSQL",
    "One database: work, buffers, conflicts, its largest tables and busiest statements.",
    variables=(PG_CLS, PG_INS, PG_DB),
    rows=(
        Row(
            "",
            (
                stat("Size", "bytes", f"pg:db:size{{{_D}}}"),
                stat("Connections", "number", f"pg_db_connections{{{_D}}}"),
                stat("Transactions", "ops", f"pg:db:xact_rate1m{{{_D}}}"),
                stat(
                    "From buffers",
                    "ratio",
                    f"pg:db:hit_ratio5m{{{_D}}}",
                    limits=Limits(0.9, 0.7),
                    empty="No page was read in five minutes.",
                ),
                stat(
                    "Deadlocks in 1 h",
                    "number",
                    f"increase(pg_db_deadlocks{{{_D}}}[1h])",
                    limits=Limits(1, 10),
                ),
                stat(
                    "Broken pages",
                    "number",
                    f"pg_db_checksum_failures{{{_D}}}",
                    limits=Limits(1, 1),
                    meaning="Pages with a wrong checksum since the statistics began.",
                ),
            ),
        ),
        Row(
            "Work",
            (
                chart(
                    "Transactions",
                    "ops",
                    q(f"rate(pg_db_commits{{{_D}}}[1m])", "committed"),
                    q(f"rate(pg_db_rollbacks{{{_D}}}[1m])", "rolled back"),
                    stack=True,
                ),
                chart(
                    "Rows read",
                    "rows/s",
                    q(f"rate(pg_db_tup_returned{{{_D}}}[1m])", "scanned"),
                    q(f"rate(pg_db_tup_fetched{{{_D}}}[1m])", "fetched by index"),
                ),
                chart(
                    "Rows written",
                    "rows/s",
                    q(f"rate(pg_db_tup_inserted{{{_D}}}[1m])", "inserted"),
                    q(f"rate(pg_db_tup_updated{{{_D}}}[1m])", "updated"),
                    q(f"rate(pg_db_tup_deleted{{{_D}}}[1m])", "deleted"),
                    stack=True,
                ),
                chart(
                    "Connections by state",
                    "number",
                    q(f"sum by (state) (pg_activity_count{{{_D}}})", "{{state}}"),
                    stack=True,
                ),
                chart(
                    "Blocked by a lock",
                    "number",
                    q(f"sum (pg_activity_blocked{{{_D}}})", "connections"),
                    limits=Limits(1, 5),
                ),
                chart(
                    "Longest transaction",
                    "seconds",
                    q(f"max by (state) (pg_activity_max_xact{{{_D}}})", "{{state}}"),
                    limits=Limits(300, 3600),
                ),
                chart(
                    "Pages",
                    "ops",
                    q(f"rate(pg_db_blks_hit{{{_D}}}[1m])", "from buffers"),
                    q(f"rate(pg_db_blks_read{{{_D}}}[1m])", "from the system"),
                ),
                chart(
                    "Temporary files", "bytes/s", q(f"pg:db:temp_bytes_rate1m{{{_D}}}", "written")
                ),
                chart(
                    "Cancelled by recovery",
                    "ops",
                    q(f"rate(pg_db_conflicts{{{_D}}}[5m])", "queries"),
                    meaning="Queries on a replica that stood in the way of the log.",
                ),
            ),
        ),
        Row(
            "What is in it",
            (
                bars(
                    "Largest tables",
                    "bytes",
                    q(f"pg_table_bytes{{{_D}}}", "{{schemaname}}.{{relname}}"),
                    empty="It has no table.",
                    link=TO_TABLE,
                ),
                bars(
                    "Statements by time",
                    "seconds",
                    q(f"pg:query:time_5m{{{_D}}} > 0", "{{query}}"),
                    meaning="Seconds of running for each second of the clock.",
                    empty="No statement ran in five minutes.",
                    link=TO_QUERY,
                ),
                chart(
                    "Size",
                    "bytes",
                    q(f"pg:db:size{{{_D}}}", "size"),
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, TO_INSTANCE, Link(QUERIES, DB), Link(TABLES, DB)),
    marks=OF_CHOSEN,
)
