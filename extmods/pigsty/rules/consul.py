"""Clusters whose members agree in Consul: it is one, reached well, and wants a token."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty.clients.consul import ConsulError, parse_url
from pigsty.findings import Finding
from pigsty.rules.context import Context
from pigsty.topology import Node

#: What all clusters on Consul share, because the admin node watches one Consul.
SHARED = ("pg_consul_url", "pg_consul_ca", "pg_consul_watch_token")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def address(ctx: Context) -> Iterator[Finding]:
    """Check the address of Consul, and that a token doesn't travel in the clear."""
    for name, node in _clusters(ctx).items():
        url = ctx.text(node, "pg_consul_url")
        try:
            scheme, host, _port = parse_url(url)
        except ConsulError as error:
            yield ctx.error(ctx.place(node, "pg_consul_url"), str(error))
            continue
        token = ctx.text(node, "pg_consul_token")
        if not token:
            text = (
                f"{name} writes to Consul without a token: whoever reaches an agent could make "
                "any member its leader"
            )
            hint = "turn ACLs on in Consul, and give the cluster a pg_consul_token"
            yield ctx.warning(ctx.place(node, "pg_dcs_type"), text, hint)
        elif scheme == "http" and host not in LOOPBACK:
            text = f"the token of {name} travels to {host} in the clear"
            yield ctx.warning(ctx.place(node, "pg_consul_url"), text, "use https, and pg_consul_ca")


def shared(ctx: Context) -> Iterator[Finding]:
    """Check that all clusters on Consul are in the same one, and no cluster in two stores."""
    first: tuple[str, Node] | None = None
    for name, node in _clusters(ctx).items():
        first = first or (name, node)
        for key in SHARED:
            if ctx.text(node, key) != ctx.text(first[1], key):
                text = f"{key} of {name} differs from that of {first[0]}"
                hint = "the admin node watches one Consul: declare it once, in all.vars"
                yield ctx.error(ctx.place(node, key), text, hint)
    for name, nodes in ctx.clusters("pg_cluster").items():
        for node in nodes[1:]:
            if ctx.text(node, "pg_dcs_type") != ctx.text(nodes[0], "pg_dcs_type"):
                text = f"the members of {name} have different pg_dcs_type: they would never agree"
                yield ctx.error(ctx.place(node, "pg_dcs_type"), text, "declare it for the cluster")


def _clusters(ctx: Context) -> dict[str, Node]:
    """Return the first member of each cluster that is in Consul."""
    clusters = sorted(ctx.clusters("pg_cluster").items())
    return {name: nodes[0] for name, nodes in clusters if uses(ctx, nodes[0])}


def uses(ctx: Context, node: Node) -> bool:
    """Whether a member's cluster is in Consul."""
    return ctx.text(node, "pg_dcs_type") == "consul"
