"""One statement on all members of its cluster."""

from __future__ import annotations

from pigsty.dashboards.common import (
    DB,
    INS,
    OF_CHOSEN,
    PG_CLS,
    QUERIES,
    QUERY,
    TO_CLUSTER,
    TO_INSTANCE,
)
from pigsty.dashboards.model import Dashboard, Link, Row, Variable, chart, stat

_Q = 'cls="$cls", datname="$datname", query="$query"'

PAGE = Dashboard(
    QUERY,
    "Statement",
    "PostgreSQL",
    "One statement on every member: how often it runs, how long, what it reads and writes.",
    variables=(
        PG_CLS,
        Variable("ins", "Instance", 'pg_query_calls{cls="$cls"}', "ins"),
        Variable("datname", "Database", 'pg_query_calls{ins="$ins"}', "datname"),
        Variable("query", "Statement", 'pg_query_calls{ins="$ins", datname="$datname"}', "query"),
    ),
    rows=(
        Row(
            "",
            (
                stat("Calls so far", "number", f"sum (pg_query_calls{{{_Q}}})"),
                stat("Time so far", "ms", f"sum (pg_query_exec_time{{{_Q}}})"),
                stat(
                    "Each, on average",
                    "ms",
                    f"sum (pg_query_exec_time{{{_Q}}}) / sum (pg_query_calls{{{_Q}}})",
                ),
                stat(
                    "Rows of each",
                    "number",
                    f"sum (pg_query_rows{{{_Q}}}) / sum (pg_query_calls{{{_Q}}})",
                ),
                stat(
                    "From buffers",
                    "ratio",
                    f"sum (pg_query_blks_hit{{{_Q}}}) / (sum (pg_query_blks_hit{{{_Q}}}) "
                    f"+ sum (pg_query_blks_read{{{_Q}}}) > 0)",
                    empty="It reads no page.",
                ),
                stat(
                    "Log of each",
                    "bytes",
                    f"sum (pg_query_wal_bytes{{{_Q}}}) / sum (pg_query_calls{{{_Q}}})",
                ),
            ),
        ),
        Row(
            "Over time",
            (
                chart("Calls", "ops", f"pg:query:qps_5m{{{_Q}}}", link=TO_INSTANCE),
                chart(
                    "Time of one second", "seconds", f"pg:query:time_5m{{{_Q}}}", link=TO_INSTANCE
                ),
                chart(
                    "Time of each",
                    "seconds",
                    f"pg:query:time_5m{{{_Q}}} / (pg:query:qps_5m{{{_Q}}} > 0)",
                    empty="It did not run in this time.",
                    link=TO_INSTANCE,
                ),
                chart("Rows", "rows/s", f"rate(pg_query_rows{{{_Q}}}[5m])", link=TO_INSTANCE),
                chart(
                    "Pages from the system",
                    "ops",
                    f"rate(pg_query_blks_read{{{_Q}}}[5m])",
                    link=TO_INSTANCE,
                ),
                chart(
                    "Log written",
                    "bytes/s",
                    f"rate(pg_query_wal_bytes{{{_Q}}}[5m])",
                    link=TO_INSTANCE,
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, Link("pgsql-instance", INS), Link(QUERIES, DB)),
    hidden=True,
    marks=OF_CHOSEN,
)
