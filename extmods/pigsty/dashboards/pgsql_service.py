"""Where clients connect to: HAProxy's services of a cluster."""

from __future__ import annotations

from pigsty.dashboards.common import OF_CHOSEN, OF_CLUSTER, PG_CLS, SERVICE
from pigsty.dashboards.model import Column, Dashboard, Key, Limits, Link, Row, chart, q, stat, table

#: Services are named `<cluster>-<service>`, wherever they are carried.
_P = 'proxy=~"$cls-.+"'
_BY = "{{proxy}} → {{server}}"

PAGE = Dashboard(
    SERVICE,
    "Services",
    "PostgreSQL",
    "HAProxy's services of one cluster: who stands behind them, sessions, checks.",
    variables=(PG_CLS,),
    rows=(
        Row(
            "",
            (
                stat("Sessions", "number", f"sum (haproxy_frontend_current_sessions{{{_P}}})"),
                stat(
                    "New sessions",
                    "ops",
                    f"sum (rate(haproxy_frontend_sessions_total{{{_P}}}[1m]))",
                ),
                stat(
                    "Refused by servers",
                    "ops",
                    f"sum (rate(haproxy_backend_connection_errors_total{{{_P}}}[5m]))",
                    limits=Limits(0.01, 1),
                ),
                stat(
                    "In queues",
                    "number",
                    f"sum (haproxy_backend_current_queue{{{_P}}})",
                    limits=Limits(1, 10),
                ),
                stat(
                    "Sent to clients",
                    "bytes/s",
                    f"sum (rate(haproxy_frontend_bytes_out_total{{{_P}}}[1m]))",
                ),
                stat(
                    "Failed checks in 1 h",
                    "number",
                    f"sum (increase(haproxy_server_check_failures_total{{{_P}}}[1h]))",
                    meaning="A member whose role doesn't fit a service fails its checks.",
                ),
            ),
        ),
        Row(
            "Services",
            (
                table(
                    "Services by the HAProxy that carries them",
                    (
                        Key("proxy", "Service"),
                        Key("ins", "On", Link("node-instance", {"ins": "ins"})),
                    ),
                    Column("Servers up", f"haproxy_backend_active_servers{{{_P}}}"),
                    Column("Backups up", f"haproxy_backend_backup_servers{{{_P}}}"),
                    Column("Sessions", f"haproxy_backend_current_sessions{{{_P}}}"),
                    Column("New", f"rate(haproxy_backend_sessions_total{{{_P}}}[1m])", "ops"),
                    Column(
                        "Errors",
                        f"rate(haproxy_backend_connection_errors_total{{{_P}}}[5m])",
                        "ops",
                        Limits(0.01, 1),
                    ),
                    Column(
                        "Tried again",
                        f"rate(haproxy_backend_retry_warnings_total{{{_P}}}[5m])",
                        "ops",
                    ),
                    height=6,
                ),
                table(
                    "Who stands behind them",
                    (
                        Key("proxy", "Service"),
                        Key(
                            "server",
                            "Member",
                            Link("pgsql-instance", {"cls": "cls", "ins": "server"}),
                        ),
                    ),
                    Column("Up", f'haproxy_server_status{{{_P}, state="UP"}}', "up"),
                    Column("Weight", f"haproxy_server_weight{{{_P}}}"),
                    Column("Sessions", f"haproxy_server_current_sessions{{{_P}}}"),
                    Column(
                        "Down so far", f"haproxy_server_downtime_seconds_total{{{_P}}}", "seconds"
                    ),
                    height=7,
                    meaning="A member is up in services that its role fits, down in the others.",
                ),
            ),
        ),
        Row(
            "Over time",
            (
                chart(
                    "Sessions",
                    "number",
                    q(f"sum by (proxy) (haproxy_frontend_current_sessions{{{_P}}})", "{{proxy}}"),
                    stack=True,
                ),
                chart(
                    "New sessions",
                    "ops",
                    q(
                        f"sum by (proxy) (rate(haproxy_frontend_sessions_total{{{_P}}}[1m]))",
                        "{{proxy}}",
                    ),
                    stack=True,
                ),
                chart(
                    "Traffic",
                    "bytes/s",
                    q(f"sum (rate(haproxy_frontend_bytes_in_total{{{_P}}}[1m]))", "from clients"),
                    q(f"sum (rate(haproxy_frontend_bytes_out_total{{{_P}}}[1m]))", "to clients"),
                ),
                chart(
                    "Sessions of members",
                    "number",
                    q(f"sum by (server) (haproxy_server_current_sessions{{{_P}}})", "{{server}}"),
                    stack=True,
                ),
                chart(
                    "Checks take",
                    "seconds",
                    q(
                        f"max by (server) (haproxy_server_check_duration_seconds{{{_P}}})",
                        "{{server}}",
                    ),
                ),
                chart(
                    "Connecting takes",
                    "seconds",
                    q(
                        f"max by (server) (haproxy_server_connect_time_average_seconds{{{_P}}})",
                        "{{server}}",
                    ),
                ),
            ),
        ),
    ),
    links=tuple(link for link in OF_CLUSTER if link.to != SERVICE),
    marks=OF_CHOSEN,
)
