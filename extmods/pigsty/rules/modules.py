"""Modules that are not yet built: a clear word instead of silence; and what is checked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pigsty.findings import Finding
from pigsty.pillar import BUILT
from pigsty.rules import sequences
from pigsty.rules.context import Context
from pigsty.rules.scalars import address, quote, show
from pigsty.topology import Node

#: Module -> the variable that names its clusters, and the one that numbers its members.
CLUSTERED = {"minio": ("minio_cluster", "minio_seq"), "redis": ("redis_cluster", "redis_node")}
HOSTS_SHOWN = 30


def not_built(ctx: Context) -> Iterator[Finding]:
    """Warn of every cluster whose module has no states yet."""
    for module, (name, _) in CLUSTERED.items():
        if module in BUILT:
            continue
        for cluster, nodes in _clusters(ctx, module).items():
            who = f"{_hosts(nodes)} (cluster {cluster})"
            text = f"the module {module} is not yet built: {who} won't get it"
            hint = "the hosts are set up as nodes, without it"
            yield ctx.warning(ctx.place(nodes[0], name), text, hint)


def grafana(ctx: Context) -> Iterator[Finding]:
    """Warn who asks for Grafana that it needs a package source which isn't the distribution's."""
    infra = ctx.topology.groups.get("infra", ())
    for use in ctx.uses:
        if use.name != "grafana_enabled" or use.variable.value is not True:
            continue
        nodes = [ctx.topology.nodes[ip] for ip in use.hosts if ip in infra]
        if nodes:
            text = f"Grafana comes to {_hosts(nodes)} only where a package source has it"
            hint = "elsewhere the portal's own pages show its dashboards"
            yield ctx.warning(use.place, text, hint)


def loki(ctx: Context) -> Iterator[Finding]:
    """Say to who asks for Loki or VictoriaLogs what keeps the logs instead."""
    infra = ctx.topology.groups.get("infra", ())
    for use in ctx.uses:
        if use.name != "loki_enabled" or use.variable.value is not True:
            continue
        nodes = [ctx.topology.nodes[ip] for ip in use.hosts if ip in infra]
        if nodes:
            text = f"logs on {_hosts(nodes)} are kept by systemd's journal, in place of Loki"
            hint = "search them on the portal's page Logs, or with `pigsty logs`"
            yield ctx.warning(use.place, text, hint)


def docker(ctx: Context) -> Iterator[Finding]:
    """Warn of hosts that ask for docker."""
    for use in ctx.uses:
        if use.name == "docker_enabled" and use.variable.value is True and use.hosts:
            nodes = [ctx.topology.nodes[ip] for ip in use.hosts]
            text = f"docker is not yet built: {_hosts(nodes)} won't get it"
            yield ctx.warning(use.place, text, "install it by node_packages for now")


def kernels(ctx: Context) -> Iterator[Finding]:
    """Warn of clusters of a kind that is not yet built."""
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        mode = ctx.text(nodes[0], "pg_mode")
        if mode not in ("", "pgsql", "citus"):
            text = f"pg_mode {mode} is not yet built: cluster {cluster} becomes plain PostgreSQL"
            yield ctx.warning(ctx.place(nodes[0], "pg_mode"), text, "use pg_mode: pgsql")


def clustered(ctx: Context) -> Iterator[Finding]:
    """Check the numbers of MinIO and Redis members, and Redis instances."""
    for module, (name, number) in CLUSTERED.items():
        for cluster, nodes in _clusters(ctx, module).items():
            yield from sequences.check(ctx, f"cluster {cluster}", number, nodes, name)
    for cluster, nodes in _clusters(ctx, "redis").items():
        for node in nodes:
            yield from _instances(ctx, cluster, node)


def minio_gaps(ctx: Context) -> Iterator[Finding]:
    """Report gaps in the numbers of MinIO members: the server list is a range."""
    for cluster, nodes in _clusters(ctx, "minio").items():
        numbers = sorted(n for n in (ctx.number(node, "minio_seq") for node in nodes) if n)
        gaps = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers else []
        if gaps and len(gaps) <= len(nodes) * 1000:
            text = f"minio_seq of cluster {cluster} leaves out {', '.join(map(str, gaps[:5]))}"
            yield ctx.error(ctx.place(nodes[0], "minio_cluster"), text, "number without gaps")


def _clusters(ctx: Context, module: str) -> dict[str, list[Node]]:
    """Return the hosts of a module by cluster: those with a number or a cluster of their own.

    Older releases name the one MinIO cluster in ``all.vars`` or nowhere: that makes no member.
    """
    name, number = CLUSTERED[module]
    found: dict[str, list[Node]] = {}
    for node in ctx.nodes:
        variable = ctx.variables(node.ip).get(name)
        own = variable is not None and not variable.path.startswith("all.vars.")
        if own or ctx.declared(node, number):
            found.setdefault(ctx.text(node, name), []).append(node)
    return found


def _instances(ctx: Context, cluster: str, node: Node) -> Iterator[Finding]:
    """Check that a Redis node has instances, on ports, that follow an address."""
    instances = ctx.value(node, "redis_instances")
    if instances in (None, {}):
        text = f"{node.ip} in cluster {cluster} has no redis_instances"
        yield ctx.error(
            ctx.member(node, "redis_cluster"), text, "add `redis_instances: { 6379: {} }`"
        )
    if not isinstance(instances, Mapping):
        return
    place = ctx.place(node, "redis_instances")
    for port, options in instances.items():
        if not (str(port).isdecimal() and 0 < int(str(port)[:6]) < 65536):
            text = f"the key {quote(port)} of redis_instances is no port"
            yield ctx.error(place.inside(port), text, "for example 6379")
        master = options.get("replica_of") if isinstance(options, Mapping) else None
        if isinstance(master, str) and master and "{{" not in master:
            host, _, number = master.partition(" ")
            if address(host) is None or not number.strip().isdecimal():
                text = f"replica_of is {show(master)}"
                yield ctx.error(place.inside(port, "replica_of"), text, "'10.10.10.11 6379'")


def _hosts(nodes: Iterable[Node]) -> str:
    """Return the addresses of hosts for a message."""
    found = [node.ip for node in nodes]
    more = len(found) - HOSTS_SHOWN
    return ", ".join(found[:HOSTS_SHOWN]) + (f" and {more} more" if more > 0 else "")
