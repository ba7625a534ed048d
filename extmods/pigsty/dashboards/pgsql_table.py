"""One table."""

from __future__ import annotations

from pigsty.dashboards.common import (
    DB,
    OF_CHOSEN,
    PG_CLS,
    PG_INS,
    TABLE,
    TABLES,
    TO_CLUSTER,
    TO_DATABASE,
    TO_INSTANCE,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    Variable,
    chart,
    q,
    stat,
    table,
)

_D = 'ins="$ins", datname="$datname", schemaname="$schemaname"'
_T = f'{_D}, relname="$relname"'

PAGE = Dashboard(
    TABLE,
    "Table",
    "PostgreSQL",
    "One table: size, rows, scans, vacuum and its indexes.",
    variables=(
        PG_CLS,
        PG_INS,
        Variable("datname", "Database", 'pg_table_bytes{ins="$ins"}', "datname"),
        Variable(
            "schemaname",
            "Schema",
            'pg_table_bytes{ins="$ins", datname="$datname"}',
            "schemaname",
        ),
        Variable("relname", "Table", f"pg_table_bytes{{{_D}}}", "relname"),
    ),
    rows=(
        Row(
            "",
            (
                stat("Size", "bytes", f"pg_table_bytes{{{_T}}}"),
                stat("Rows", "number", f"pg_table_live{{{_T}}}"),
                stat("Dead rows", "number", f"pg_table_dead{{{_T}}}"),
                stat(
                    "Bloat",
                    "ratio",
                    f"pg_bloat_ratio{{{_T}}}",
                    limits=Limits(0.4, 0.7),
                    empty="Not estimated: it is small, or was never analyzed.",
                ),
                stat(
                    "Vacuumed",
                    "time",
                    f"pg_table_last_vacuum{{{_T}}} > 0",
                    empty="Not yet.",
                ),
                stat(
                    "Analyzed",
                    "time",
                    f"pg_table_last_analyze{{{_T}}} > 0",
                    empty="Not yet.",
                ),
            ),
        ),
        Row(
            "Over time",
            (
                chart(
                    "Scans",
                    "ops",
                    q(f"rate(pg_table_idx_scan{{{_T}}}[5m])", "by index"),
                    q(f"rate(pg_table_seq_scan{{{_T}}}[5m])", "of the whole table"),
                ),
                chart(
                    "Rows written",
                    "rows/s",
                    q(f"rate(pg_table_inserted{{{_T}}}[5m])", "inserted"),
                    q(f"rate(pg_table_updated{{{_T}}}[5m])", "updated"),
                    q(f"rate(pg_table_hot_updated{{{_T}}}[5m])", "updated without indexes"),
                    q(f"rate(pg_table_deleted{{{_T}}}[5m])", "deleted"),
                ),
                chart(
                    "Rows read by scans of all",
                    "rows/s",
                    q(f"rate(pg_table_seq_tup_read{{{_T}}}[5m])", "rows"),
                ),
                chart("Size", "bytes", q(f"pg_table_bytes{{{_T}}}", "without indexes")),
                chart(
                    "Rows",
                    "number",
                    q(f"pg_table_live{{{_T}}}", "live"),
                    q(f"pg_table_dead{{{_T}}}", "dead"),
                ),
                chart(
                    "Vacuums and analyzes in 1 h",
                    "number",
                    q(f"increase(pg_table_vacuums{{{_T}}}[1h])", "vacuums"),
                    q(f"increase(pg_table_analyzes{{{_T}}}[1h])", "analyzes"),
                ),
                table(
                    "Its indexes",
                    (Key("idxname", "Index"),),
                    Column("Size", f"pg_index_bytes{{{_T}}}", "bytes"),
                    Column("Scans", f"rate(pg_index_scans{{{_T}}}[5m])", "ops"),
                    Column("Scans so far", f"pg_index_scans{{{_T}}}"),
                    Column("Rows fetched", f"rate(pg_index_tup_fetch{{{_T}}}[5m])", "rows/s"),
                    height=4,
                    empty="It has no index.",
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, TO_INSTANCE, TO_DATABASE, Link(TABLES, DB)),
    hidden=True,
    marks=OF_CHOSEN,
)
