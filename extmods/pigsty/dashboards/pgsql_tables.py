"""Tables and indexes of a database."""

from __future__ import annotations

from pigsty.dashboards.common import (
    DB,
    PG_CLS,
    PG_DB,
    PG_INS,
    QUERIES,
    TABLES,
    TO_CLUSTER,
    TO_DATABASE,
    TO_INSTANCE,
    TO_TABLE,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    bars,
    q,
    table,
)

_D = 'ins="$ins", datname="$datname"'
_NAME = "{{schemaname}}.{{relname}}"
_KEYS = (Key("schemaname", "Schema"), Key("relname", "Table", TO_TABLE))

PAGE = Dashboard(
    TABLES,
    "Tables",
    "PostgreSQL",
    "The hundred largest tables and indexes of a database: size, bloat, scans, vacuum.",
    variables=(PG_CLS, PG_INS, PG_DB),
    rows=(
        Row(
            "",
            (
                table(
                    "Tables",
                    _KEYS,
                    Column("Size", f"pg_table_bytes{{{_D}}}", "bytes"),
                    Column("Rows", f"pg_table_live{{{_D}}}"),
                    Column("Dead", f"pg_table_dead{{{_D}}}"),
                    Column("Bloat", f"pg_bloat_ratio{{{_D}}}", "ratio", Limits(0.4, 0.7)),
                    Column("Scans by index", f"rate(pg_table_idx_scan{{{_D}}}[5m])", "ops"),
                    Column("Scans of all", f"rate(pg_table_seq_scan{{{_D}}}[5m])", "ops"),
                    Column("Vacuumed", f"pg_table_last_vacuum{{{_D}}} > 0", "time"),
                    Column("Analyzed", f"pg_table_last_analyze{{{_D}}} > 0", "time"),
                    top=50,
                    height=9,
                    empty="The database has no table.",
                ),
            ),
        ),
        Row(
            "What stands out",
            (
                bars(
                    "Rows read by scans of whole tables",
                    "rows/s",
                    q(f"pg:table:seq_rate5m{{{_D}}} > 0", _NAME),
                    meaning="High and growing: an index is missing.",
                    empty="No table was scanned as a whole in five minutes.",
                    link=TO_TABLE,
                ),
                bars(
                    "Rows written",
                    "rows/s",
                    q(
                        f"(rate(pg_table_inserted{{{_D}}}[5m]) + rate(pg_table_updated{{{_D}}}[5m])"
                        f" + rate(pg_table_deleted{{{_D}}}[5m])) > 0",
                        _NAME,
                    ),
                    empty="Nothing was written in five minutes.",
                    link=TO_TABLE,
                ),
                bars(
                    "Dead rows",
                    "ratio",
                    q(f"pg:table:dead_ratio{{{_D}}} > 0", _NAME),
                    limits=Limits(0.2, 0.5),
                    empty="No table of more than 10,000 rows has dead ones.",
                    link=TO_TABLE,
                ),
            ),
        ),
        Row(
            "Indexes",
            (
                table(
                    "Indexes",
                    (*_KEYS, Key("idxname", "Index")),
                    Column("Size", f"pg_index_bytes{{{_D}}}", "bytes"),
                    Column("Scans", f"rate(pg_index_scans{{{_D}}}[5m])", "ops"),
                    Column("Scans so far", f"pg_index_scans{{{_D}}}"),
                    Column("Entries read", f"rate(pg_index_tup_read{{{_D}}}[5m])", "rows/s"),
                    Column("Valid", f"pg_index_valid{{{_D}}}", "yes", Limits(1, 0)),
                    top=50,
                    height=9,
                    empty="The database has no index.",
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, TO_INSTANCE, TO_DATABASE, Link(QUERIES, DB)),
)
