"""The HBA lines of a cluster as a person reads them: which member has which, and from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pigsty import sharding
from pigsty.render import hba
from pigsty.topology import Node, PgCluster, PgInstance, Topology

#: Server, and the parameters that hold its rules: the defaults, then the cluster's own.
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "postgres": ("pg_default_hba_rules", "pg_hba_rules"),
    "pgbouncer": ("pgb_default_hba_rules", "pgb_hba_rules"),
}
POOLER = "pgbouncer"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of one member's file.

    Attributes:
        cluster: name of the cluster.
        server: ``postgres`` or ``pgbouncer``.
        member: name of the instance.
        role: the role that the rule is limited to; ``common`` for every member.
        line: the line as the server reads it.
        source: parameter and position, and the line of the inventory where it stands there.
        title: what the rule says of itself.
        order: its ``order``, None without.
    """

    cluster: str
    server: str
    member: str
    role: str
    line: str
    source: str
    title: str
    order: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def compiled(topology: Topology, cluster: PgCluster, node: Node) -> dict[str, Any]:
    """Return the rules of both servers of a member, as its pillar holds them.

    Raises:
        PillarError: a rule can't be understood.
    """
    meaning = context(topology, cluster, node)
    found = {}
    for server, names in PARAMETERS.items():
        rules = [rule for name in names for rule in node.vars[name] or ()]
        found[server] = hba.compile_rules(rules, meaning, pgbouncer=server == POOLER)
    found["postgres"] = [*_between(topology, cluster, meaning), *found["postgres"]]
    return found


def _between(topology: Topology, cluster: PgCluster, meaning: hba.Context) -> list[dict[str, Any]]:
    """Return the rule by which the servers of a Citus cluster let each other's superuser in.

    It stands before all others: what they say of the superuser is about people.
    """
    own = sharding.group(cluster)
    if own is None:
        return []
    groups = sharding.together(topology, cluster)
    everybody = tuple(member.ip for group in groups for member in group.members)
    rule = {
        "title": f"servers of {own.shard} among each other",
        "user": "${dbsu}",
        "db": own.database,
        "addr": "cluster",
        "auth": "ssl",
    }
    return hba.compile_rules([rule], replace(meaning, cluster=everybody))


def context(topology: Topology, cluster: PgCluster, node: Node) -> hba.Context:
    """Return what the aliases in the rules of a member stand for."""
    params = node.vars
    return hba.Context(
        users={
            "dbsu": params["pg_dbsu"],
            "repl": params["pg_replication_username"],
            "monitor": params["pg_monitor_username"],
            "admin": params["pg_admin_username"],
        },
        admin=topology.admin_ip,
        infra=tuple(infra.ip for infra in topology.infra),
        cluster=tuple(member.ip for member in cluster.members),
        intranet=tuple(params["node_firewall_intranet"] or []),
        password=params["pg_pwd_enc"],
    )


def rows(topology: Topology, cluster: PgCluster, live: Mapping[str, str]) -> Iterator[Row]:
    """Yield the lines of every member of a cluster, in the order of its files.

    Args:
        topology: the deployment.
        cluster: one of its clusters.
        live: by address, what Patroni says that a member is; who isn't in it counts as declared.

    Raises:
        PillarError: a rule can't be understood.
    """
    for server in PARAMETERS:
        for member in cluster.members:
            yield from _member(topology, cluster, member, server, live.get(member.ip))


def _member(
    topology: Topology, cluster: PgCluster, member: PgInstance, server: str, live: str | None
) -> Iterator[Row]:
    node = member.node
    own = hba.roles_of(member.role, live, bool(node.vars["pg_offline_query"]))
    sources = [
        (rule, _source(node, name, at))
        for name in PARAMETERS[server]
        for at, rule in enumerate(node.vars[name] or ())
    ]
    # Rule by rule, so that each keeps its source; the order is that of the files.
    meaning = context(topology, cluster, node)
    compiled: list[tuple[dict[str, Any], str, int | None]] = []
    if server != POOLER:
        compiled += [(one, "pg_mode", None) for one in _between(topology, cluster, meaning)]
    for rule, source in sorted(sources, key=lambda pair: hba.order(pair[0])):
        (one,) = hba.compile_rules([rule], meaning, pgbouncer=server == POOLER)
        compiled.append((one, source, rule.get("order")))
    for one, source, order in compiled:
        if one["role"] in own:
            for line in one["lines"]:
                yield Row(
                    cluster=cluster.name,
                    server=server,
                    member=member.name,
                    role=one["role"],
                    line=line,
                    source=source,
                    title=one["title"],
                    order=order,
                )


def _source(node: Node, name: str, at: int) -> str:
    """``pg_hba_rules[2] (line 57)``, or without a line for a rule of the built-in list."""
    variable = node.vars.raw.get(name)
    return f"{name}[{at}]" + (f" (line {variable.place(at)[1]})" if variable else "")
