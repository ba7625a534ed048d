"""Who follows whom in a cluster, and how far behind."""

from __future__ import annotations

from pigsty.dashboards.common import (
    KEY_INSTANCE,
    OF_CHOSEN,
    OF_CLUSTER,
    PG_CLS,
    REPLICATION,
    TO_INSTANCE,
)
from pigsty.dashboards.model import Column, Dashboard, Key, Limits, Link, Row, chart, q, stat, table

_C = 'cls="$cls"'
_LAG = Limits(2**20, 2**26)
_ALONE = "There is no replica."

PAGE = Dashboard(
    REPLICATION,
    "Replication",
    "PostgreSQL",
    "Replicas, their lag, and the log that is kept for them.",
    variables=(PG_CLS,),
    rows=(
        Row(
            "",
            (
                stat(
                    "Leader",
                    "number",
                    q(f"pg:ins:is_primary{{{_C}}} == 1", "{{ins}}"),
                    empty="Nobody leads.",
                    link=TO_INSTANCE,
                ),
                stat("Streaming", "number", f"pg:cls:streaming{{{_C}}}"),
                stat("Lag", "bytes", f"pg:cls:lag_bytes{{{_C}}}", limits=_LAG, empty=_ALONE),
                stat(
                    "Lag",
                    "seconds",
                    f"pg:cls:lag_seconds{{{_C}}}",
                    limits=Limits(1, 30),
                    empty=_ALONE,
                ),
                stat(
                    "Synchronous",
                    "number",
                    f"sum (pg_replica_synchronous{{{_C}}}) or vector(0)",
                    meaning="Replicas that commits wait for.",
                ),
                stat(
                    "Kept for slots",
                    "bytes",
                    f"max (pg:ins:slot_retained{{{_C}}})",
                    limits=Limits(2**30, 2**32),
                    empty="There is no slot.",
                ),
            ),
        ),
        Row(
            "Replicas",
            (
                table(
                    "Who streams from whom",
                    (
                        KEY_INSTANCE,
                        Key(
                            "replica",
                            "Replica",
                            Link("pgsql-instance", {"cls": "cls", "ins": "replica"}),
                        ),
                    ),
                    Column("State", f"pg_replica_streaming{{{_C}}}", label="state"),
                    Column("Commits wait", f"pg_replica_synchronous{{{_C}}}", label="sync_state"),
                    Column("Not sent", f"pg_replica_unsent{{{_C}}}", "bytes", _LAG),
                    Column("Not on its disk", f"pg_replica_unflushed{{{_C}}}", "bytes", _LAG),
                    Column("Not replayed", f"pg_replica_unreplayed{{{_C}}}", "bytes", _LAG),
                    Column(
                        "Replayed after", f"pg_replica_replay_lag{{{_C}}}", "seconds", Limits(1, 30)
                    ),
                    height=4,
                    empty=_ALONE,
                ),
                chart(
                    "Not replayed",
                    "bytes",
                    q(f"pg_replica_unreplayed{{{_C}}}", "{{replica}}"),
                    limits=_LAG,
                    empty=_ALONE,
                ),
                chart(
                    "Behind the leader",
                    "seconds",
                    q(f"pg:ins:lag_seconds{{{_C}}}"),
                    empty=_ALONE,
                    link=TO_INSTANCE,
                ),
                chart(
                    "A commit is replayed after",
                    "seconds",
                    q(f"pg_replica_replay_lag{{{_C}}}", "{{replica}}"),
                    empty=_ALONE,
                ),
            ),
        ),
        Row(
            "Log",
            (
                chart(
                    "Log written or replayed",
                    "bytes/s",
                    f"pg:ins:wal_rate1m{{{_C}}}",
                    link=TO_INSTANCE,
                ),
                chart(
                    "Kept for slots",
                    "bytes",
                    q(f"pg_slot_retained{{{_C}}}", "{{slot}} on {{ins}}"),
                    limits=Limits(2**30, 2**32),
                    empty="There is no slot.",
                ),
                chart("Size of the log", "bytes", f"pg:ins:wal_size{{{_C}}}", link=TO_INSTANCE),
                table(
                    "Slots",
                    (KEY_INSTANCE, Key("slot", "Slot"), Key("type", "Kind")),
                    Column("In use", f"pg_slot_active{{{_C}}}", "yes"),
                    Column("Keeps", f"pg_slot_retained{{{_C}}}", "bytes", Limits(2**30, 2**32)),
                    Column("Lost", f"pg_slot_lost{{{_C}}}", "yes", Limits(1, 1)),
                    height=4,
                    empty="There is no slot.",
                ),
            ),
        ),
    ),
    links=tuple(link for link in OF_CLUSTER if link.to != REPLICATION),
    marks=OF_CHOSEN,
)
