"""What several pages share: addresses, the ways between them, choices and limits."""

from __future__ import annotations

from pigsty.dashboards.model import MARKED, Key, Limits, Link, Mark, Panel, Variable, chart

OVERVIEW, ALERTS = "overview", "alerts"
PGSQL, CLUSTER, INSTANCE = "pgsql-overview", "pgsql-cluster", "pgsql-instance"
DATABASE, QUERIES, QUERY = "pgsql-database", "pgsql-queries", "pgsql-query"
TABLES, TABLE = "pgsql-tables", "pgsql-table"
REPLICATION, PGBOUNCER, PATRONI = "pgsql-replication", "pgsql-pgbouncer", "pgsql-patroni"
SERVICE, BACKUP = "pgsql-service", "pgsql-backup"
NODES, NODE_CLUSTER, NODE = "node-overview", "node-cluster", "node-instance"
ETCD, INFRA, SALT = "etcd", "infra", "salt"

#: Groups of the menu, in its order.
GROUPS = ("Deployment", "PostgreSQL", "Nodes", "Infrastructure")

CLS = {"cls": "cls"}
INS = {"cls": "cls", "ins": "ins"}
DB = {"cls": "cls", "ins": "ins", "datname": "datname"}

TO_CLUSTER = Link(CLUSTER, CLS)
TO_INSTANCE = Link(INSTANCE, INS)
TO_DATABASE = Link(DATABASE, DB)
TO_QUERY = Link(QUERY, {**DB, "query": "query"})
TO_TABLE = Link(TABLE, {**DB, "schemaname": "schemaname", "relname": "relname"})
TO_NODE = Link(NODE, {"ins": "ins"})
TO_NODES = Link(NODE_CLUSTER, CLS)

#: Pages beside one of a cluster, and beside one of an instance.
OF_CLUSTER = (
    TO_CLUSTER,
    Link(REPLICATION, CLS),
    Link(PATRONI, CLS),
    Link(SERVICE, CLS),
    Link(BACKUP, CLS),
)
OF_INSTANCE = (
    *OF_CLUSTER,
    TO_INSTANCE,
    Link(PGBOUNCER, INS),
    Link(DATABASE, INS),
    Link(QUERIES, INS),
    Link(TABLES, INS),
)

PG_CLS = Variable("cls", "Cluster", "pg:ins:up", "cls")
PG_INS = Variable("ins", "Instance", 'pg:ins:up{cls="$cls"}', "ins")
PG_DB = Variable("datname", "Database", 'pg_db_connections{ins="$ins"}', "datname")

KEY_CLUSTER = Key("cls", "Cluster", TO_CLUSTER)
KEY_INSTANCE = Key("ins", "Instance", TO_INSTANCE)

#: A part of something that may be used up.
USAGE = Limits(0.7, 0.9)
#: Nothing of it is well, anything isn't.
NONE = Limits(1, 1)
#: 1 is well.
UP = Limits(1, 0)


def of_machines(selector: str = "") -> tuple[Panel, ...]:
    """Return charts of several machines side by side, how busy each is."""
    own = f"{{{selector}}}" if selector else ""
    return (
        chart(
            "Processors in use", "ratio", f"node:ins:cpu_usage_1m{own}", limits=USAGE, link=TO_NODE
        ),
        chart("Memory in use", "ratio", f"node:ins:mem_usage{own}", limits=USAGE, link=TO_NODE),
        chart(
            "Load for each processor",
            "number",
            f"node:ins:stdload1{own}",
            limits=Limits(1, 2),
            link=TO_NODE,
        ),
    )


def led(selector: str = "") -> Mark:
    """Return the mark of a leader that wasn't one before, by Patroni's own word.

    A member that isn't heard of for a moment is no change, and neither is a leader's restart.
    """
    found = (
        f"({role}{{{selector}}} == 1 and min_over_time({role}{{{selector}}}[{MARKED + 60}s]) == 0)"
        for role in ("patroni_primary", "patroni_standby_leader")
    )
    return Mark("Leader", f"max by (cls, ins) ({' or '.join(found)})", "{{ins}} leads")


def critical(selector: str = "") -> Mark:
    """Return the mark of an alert of the highest level, from where it fires."""
    matched = f'alertstate="firing", severity="CRIT"{", " if selector else ""}{selector}'
    names = "{{alertname}} {{ins}}"
    return Mark("Alert", f"max by (alertname, cls, ins) (ALERTS{{{matched}}})", names, bad=True)


#: What is marked on the pages of one cluster.
OF_CHOSEN = (led('cls="$cls"'), critical('cls="$cls"'))
