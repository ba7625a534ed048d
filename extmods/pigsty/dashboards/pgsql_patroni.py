"""Patroni: who leads by whose word, and what it lacks."""

from __future__ import annotations

from pigsty.dashboards.common import (
    KEY_INSTANCE,
    OF_CHOSEN,
    OF_CLUSTER,
    PATRONI,
    PG_CLS,
    TO_INSTANCE,
)
from pigsty.dashboards.model import Column, Dashboard, Limits, Link, Row, chart, q, stat, table

_C = 'cls="$cls"'
_YES = Limits(1, 1)

PAGE = Dashboard(
    PATRONI,
    "Patroni",
    "PostgreSQL",
    "What keeps a cluster available: the lead, the store, timelines, maintenance.",
    variables=(PG_CLS,),
    rows=(
        Row(
            "",
            (
                stat(
                    "Leader",
                    "number",
                    q(
                        f"(patroni_primary{{{_C}}} or patroni_standby_leader{{{_C}}}) == 1",
                        "{{ins}}",
                    ),
                    empty="Nobody holds the lead.",
                    link=TO_INSTANCE,
                ),
                stat("Timeline", "number", f"pg:cls:timeline{{{_C}}}"),
                stat(
                    "Paused",
                    "yes",
                    f"max (patroni_is_paused{{{_C}}})",
                    limits=Limits(1, 2),
                    meaning="Nobody takes over from a primary that fails.",
                ),
                stat(
                    "Without a leader",
                    "yes",
                    f"max (patroni_cluster_unlocked{{{_C}}})",
                    limits=_YES,
                ),
                stat(
                    "Without its etcd",
                    "yes",
                    f"max (patroni_failsafe_mode_is_active{{{_C}}})",
                    limits=_YES,
                    meaning="Failsafe mode: the primary goes on as long as all members agree.",
                ),
                stat(
                    "Wait for a restart",
                    "number",
                    f"sum (patroni_pending_restart{{{_C}}})",
                    limits=Limits(1, 99),
                ),
            ),
        ),
        Row(
            "Members",
            (
                table(
                    "Members",
                    (KEY_INSTANCE,),
                    Column("Running", f"patroni_postgres_running{{{_C}}}", "up", Limits(1, 0)),
                    Column("Leads", f"patroni_primary{{{_C}}}", "yes"),
                    Column("Streaming", f"patroni_postgres_streaming{{{_C}}}", "yes"),
                    Column("Synchronous", f"patroni_sync_standby{{{_C}}}", "yes"),
                    Column("Timeline", f"patroni_postgres_timeline{{{_C}}}"),
                    Column("Saw the store", f"patroni_dcs_last_seen{{{_C}}}", "time"),
                    Column("Started", f"patroni_postmaster_start_time{{{_C}}}", "time"),
                    Column(
                        "Waits for a restart",
                        f"patroni_pending_restart{{{_C}}}",
                        "yes",
                        Limits(1, 2),
                    ),
                    Column(
                        "From the archive", f"patroni_postgres_in_archive_recovery{{{_C}}}", "yes"
                    ),
                    height=4,
                ),
                chart(
                    "Who leads",
                    "yes",
                    q(f"patroni_primary{{{_C}}} == 1"),
                    stack=True,
                    link=TO_INSTANCE,
                ),
                chart("Timeline", "number", f"patroni_postgres_timeline{{{_C}}}", link=TO_INSTANCE),
                chart(
                    "Since it saw the store",
                    "seconds",
                    f"time() - patroni_dcs_last_seen{{{_C}}}",
                    limits=Limits(20, 30),
                    meaning="Patroni looks every loop_wait, by default 10 s.",
                ),
                chart(
                    "Log received and not replayed",
                    "bytes",
                    f"(patroni_xlog_received_location{{{_C}}} > 0) "
                    f"- patroni_xlog_replayed_location{{{_C}}}",
                    empty="There is no replica.",
                    link=TO_INSTANCE,
                ),
                chart("Patroni answers", "up", q(f'up{{component="patroni", {_C}}}')),
                chart(
                    "Replay stopped by hand",
                    "yes",
                    f"patroni_xlog_paused{{{_C}}}",
                ),
            ),
        ),
    ),
    links=(
        Link("pgsql-overview"),
        *(link for link in OF_CLUSTER if link.to != PATRONI),
        Link("etcd"),
    ),
    marks=OF_CHOSEN,
)
