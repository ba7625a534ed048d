"""The pool of connections in front of a server."""

from __future__ import annotations

from pigsty.dashboards.common import CLS, INS, OF_CHOSEN, PG_CLS, PGBOUNCER, SERVICE, TO_CLUSTER, UP
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

_I = 'ins="$ins"'
_DB = "{{database}}"
_QUIET = "No client has come by the pool yet."

PAGE = Dashboard(
    PGBOUNCER,
    "PgBouncer",
    "PostgreSQL",
    "Clients, servers, waiting and queries of one pool.",
    variables=(PG_CLS, Variable("ins", "Instance", 'pgbouncer:ins:up{cls="$cls"}', "ins")),
    rows=(
        Row(
            "",
            (
                stat("Up", "up", f"pgbouncer:ins:up{{{_I}}}", limits=UP),
                stat("Queries", "ops", f"pgbouncer:ins:qps_1m{{{_I}}}"),
                stat(
                    "Waiting clients",
                    "number",
                    f"pgbouncer:ins:waiting{{{_I}}}",
                    limits=Limits(1, 10),
                ),
                stat("Clients", "number", f"pgbouncer_used_clients{{{_I}}}"),
                stat(
                    "Clients that may come",
                    "number",
                    f"pgbouncer_config_max_client_connections{{{_I}}}",
                ),
                stat("Servers", "number", f"pgbouncer_used_servers{{{_I}}}"),
            ),
        ),
        Row(
            "Pools",
            (
                table(
                    "Databases",
                    (Key("database", "Database"),),
                    Column("Connections", f"pgbouncer_databases_current_connections{{{_I}}}"),
                    Column("Pool", f"pgbouncer_databases_pool_size{{{_I}}}"),
                    Column("Mode", f"pgbouncer_databases_pool_size{{{_I}}}", label="pool_mode"),
                    Column("Paused", f"pgbouncer_databases_paused{{{_I}}}", "yes", Limits(1, 1)),
                    Column(
                        "Disabled", f"pgbouncer_databases_disabled{{{_I}}}", "yes", Limits(1, 1)
                    ),
                    Column("Waiting", f"pgbouncer:pool:waiting{{{_I}}}", limits=Limits(1, 10)),
                    Column(
                        "Longest wait",
                        f"pgbouncer:pool:wait_time{{{_I}}}",
                        "seconds",
                        Limits(0.1, 1),
                    ),
                    height=4,
                ),
                chart(
                    "Queries",
                    "ops",
                    q(f"pgbouncer:pool:qps_1m{{{_I}}}", _DB),
                    stack=True,
                    empty=_QUIET,
                ),
                chart(
                    "Time of a query",
                    "seconds",
                    q(f"pgbouncer:pool:query_time_1m{{{_I}}}", _DB),
                    limits=Limits(0.016, 0.25),
                    empty=_QUIET,
                ),
                chart(
                    "Transactions",
                    "ops",
                    q(
                        "sum by (database) "
                        f"(rate(pgbouncer_stats_sql_transactions_pooled_total{{{_I}}}[1m]))",
                        _DB,
                    ),
                    stack=True,
                    empty=_QUIET,
                ),
                chart(
                    "Clients",
                    "number",
                    q(f"sum (pgbouncer_pools_client_active_connections{{{_I}}})", "served"),
                    q(f"sum (pgbouncer_pools_client_waiting_connections{{{_I}}})", "waiting"),
                    stack=True,
                ),
                chart(
                    "Servers",
                    "number",
                    q(f"sum (pgbouncer_pools_server_active_connections{{{_I}}})", "busy"),
                    q(f"sum (pgbouncer_pools_server_idle_connections{{{_I}}})", "idle"),
                    q(f"sum (pgbouncer_pools_server_used_connections{{{_I}}})", "to be checked"),
                    stack=True,
                ),
                chart(
                    "Traffic",
                    "bytes/s",
                    q(f"sum (rate(pgbouncer_stats_received_bytes_total{{{_I}}}[1m]))", "received"),
                    q(f"sum (rate(pgbouncer_stats_sent_bytes_total{{{_I}}}[1m]))", "sent"),
                ),
            ),
        ),
    ),
    links=(TO_CLUSTER, Link("pgsql-instance", INS), Link(SERVICE, CLS)),
    marks=OF_CHOSEN,
)
