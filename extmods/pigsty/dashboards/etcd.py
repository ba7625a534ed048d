"""The store that clusters elect their leaders with."""

from __future__ import annotations

from pigsty.dashboards.common import ETCD, NODE, OVERVIEW, PATRONI, UP, USAGE, critical
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    Variable,
    alerts,
    chart,
    q,
    stat,
    table,
)

_C = 'cls="$cls"'
#: etcd's instances are named by their cluster, their machines otherwise.
_KEY = Key("ins", "Member")

PAGE = Dashboard(
    ETCD,
    "etcd",
    "Infrastructure",
    "Members, the lead, how fast the store answers and how full it is.",
    variables=(Variable("cls", "Cluster", 'up{component="etcd"}', "cls"),),
    rows=(
        Row(
            "",
            (
                stat("Members up", "number", f"etcd:cls:up{{{_C}}}"),
                stat(
                    "Members down",
                    "number",
                    f"etcd:cls:count{{{_C}}} - etcd:cls:up{{{_C}}}",
                    limits=Limits(1, 2),
                ),
                stat("Has a leader", "yes", f"etcd:cls:leader{{{_C}}}", limits=UP),
                stat(
                    "Changes of the lead in 1 h",
                    "number",
                    f"etcd:cls:leader_changes_1h{{{_C}}}",
                    limits=Limits(3, 10),
                ),
                stat("Quota used", "ratio", f"max (etcd:ins:backend_usage{{{_C}}})", limits=USAGE),
                stat("Writes", "ops", f"sum (etcd:ins:put_rate1m{{{_C}}})"),
            ),
        ),
        Row(
            "Members",
            (
                table(
                    "Members",
                    (_KEY, Key("ip", "Address")),
                    Column("Up", f'up{{component="etcd", {_C}}}', "up", UP),
                    Column("Leads", f"etcd_server_is_leader{{{_C}}}", "yes"),
                    Column("Version", f"etcd_server_version{{{_C}}}", label="server_version"),
                    Column("Data", f"etcd_mvcc_db_total_size_in_bytes{{{_C}}}", "bytes"),
                    Column("Quota used", f"etcd:ins:backend_usage{{{_C}}}", "ratio", USAGE),
                    Column(
                        "Log written in",
                        f"etcd:ins:wal_fsync_p95_5m{{{_C}}}",
                        "seconds",
                        Limits(0.05, 0.2),
                    ),
                    Column(
                        "Committed in",
                        f"etcd:ins:commit_p95_5m{{{_C}}}",
                        "seconds",
                        Limits(0.1, 0.5),
                    ),
                    Column(
                        "Peer after",
                        f"etcd:ins:peer_rtt_p95_5m{{{_C}}}",
                        "seconds",
                        Limits(0.1, 0.2),
                    ),
                    height=4,
                    meaning="Times are those that 95 of 100 stay below.",
                ),
                alerts("Alerts of etcd", 'category="etcd"', height=3),
                chart(
                    "Log written in",
                    "seconds",
                    f"etcd:ins:wal_fsync_p95_5m{{{_C}}}",
                    limits=Limits(0.05, 0.2),
                ),
                chart(
                    "Committed in",
                    "seconds",
                    f"etcd:ins:commit_p95_5m{{{_C}}}",
                    limits=Limits(0.1, 0.5),
                ),
                chart(
                    "A peer is reached in",
                    "seconds",
                    f"etcd:ins:peer_rtt_p95_5m{{{_C}}}",
                    limits=Limits(0.1, 0.2),
                    empty="It has one member, and no peer.",
                ),
                chart("Writes", "ops", f"etcd:ins:put_rate1m{{{_C}}}"),
                chart(
                    "Proposals",
                    "ops",
                    q(
                        f"rate(etcd_server_proposals_committed_total{{{_C}}}[1m])",
                        "{{ins}} committed",
                    ),
                    q(f"rate(etcd_server_proposals_failed_total{{{_C}}}[1m])", "{{ins}} failed"),
                ),
                chart(
                    "Data",
                    "bytes",
                    q(f"etcd_mvcc_db_total_size_in_bytes{{{_C}}}", "{{ins}} on disk"),
                    q(f"etcd_mvcc_db_total_size_in_use_in_bytes{{{_C}}}", "{{ins}} in use"),
                ),
                chart(
                    "Traffic with clients",
                    "bytes/s",
                    q(
                        f"rate(etcd_network_client_grpc_sent_bytes_total{{{_C}}}[1m])",
                        "{{ins}} sent",
                    ),
                    q(
                        f"rate(etcd_network_client_grpc_received_bytes_total{{{_C}}}[1m])",
                        "{{ins}} received",
                    ),
                ),
                chart("Leads", "yes", q(f"etcd_server_is_leader{{{_C}}} == 1"), stack=True),
                chart(
                    "Heartbeats that were late",
                    "ops",
                    f"rate(etcd_server_heartbeat_send_failures_total{{{_C}}}[5m])",
                ),
            ),
        ),
    ),
    links=(Link(OVERVIEW), Link(PATRONI), Link(NODE)),
    marks=(critical('category="etcd"'),),
)
