"""The PGSQL module: clusters, their members, what they follow and where they listen."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pigsty import platform
from pigsty.findings import Finding
from pigsty.rules import sequences
from pigsty.rules.context import Context
from pigsty.rules.scalars import address, quote
from pigsty.topology import Node

#: The name becomes a DNS label, an etcd user, a stanza and part of file names.
CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,57}[A-Za-z0-9])?", re.ASCII)
#: etcd's own superuser, and what Patroni keeps beside the clusters.
RESERVED = frozenset(("root",))
#: What a member may be; whoever has another role, or none, might be meant to be the primary.
ROLES = ("primary", "replica", "offline", "standby", "delayed")
#: What pg_listen may hold besides addresses.
TOKENS = ("${ip}", "${lo}", "${vip}")
#: What is one setting of a whole cluster.
SHARED = (
    "pg_version",
    "pg_mode",
    "pg_port",
    "pg_rpo",
    "pg_rto",
    "pg_conf",
    "pg_shard",
    "pg_group",
)
#: The default of pg_vip_address, which stands for "none".
NO_VIP = "127.0.0.1/24"


def clusters(ctx: Context) -> Iterator[Finding]:
    """Check each cluster's name, its members' numbers and roles, and that it has one primary."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        place = ctx.place(nodes[0], "pg_cluster")
        if not CLUSTER.fullmatch(name):
            hint = "letters, digits and -, at most 59, for example pg-test"
            yield ctx.error(place, f"bad cluster name {quote(name)}", hint)
        elif name in RESERVED:
            yield ctx.error(place, f"the cluster name {name} is reserved", "choose another name")
        yield from sequences.check(ctx, f"cluster {name}", "pg_seq", nodes, "pg_cluster")
        yield from _roles(ctx, name, nodes)


def _roles(ctx: Context, name: str, nodes: list[Node]) -> Iterator[Finding]:
    """Check that every member has a role and exactly one is the primary."""
    primaries, unclear = [], False
    for node in nodes:
        role = ctx.value(node, "pg_role")
        if role is None:
            text = f"{node.ip} in cluster {name} has no pg_role"
            hint = "add `pg_role: primary` or `pg_role: replica`"
            yield ctx.error(ctx.member(node, "pg_cluster"), text, hint)
        elif role == "primary":
            primaries.append(node)
        unclear = unclear or role not in ROLES
    if not primaries and not unclear:
        place = ctx.place(nodes[0], "pg_cluster")
        text = f"cluster {name} has no primary"
        yield ctx.error(place, text, f"set `pg_role: primary` on one host, say {nodes[0].ip}")
    for node in primaries[1:]:
        text = f"cluster {name} has two primaries: {primaries[0].ip} and {node.ip}"
        yield ctx.error(ctx.place(node, "pg_role"), text, "make one of them a replica")


def strays(ctx: Context) -> Iterator[Finding]:
    """Report hosts with a PostgreSQL number or role but without a cluster."""
    for node in ctx.nodes:
        if ctx.value(node, "pg_cluster"):
            continue
        for name in ("pg_seq", "pg_role"):
            if ctx.declared(node, name):
                text = f"{node.ip} has {name} but no pg_cluster, so it is in no cluster"
                yield ctx.error(ctx.place(node, name), text, "add `pg_cluster: <name>`")
                break


def upstream(ctx: Context) -> Iterator[Finding]:
    """Report a pg_upstream that leads nowhere, to the host itself or to the wrong cluster."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        for node in nodes:
            target = ctx.text(node, "pg_upstream")
            if not target or address(target) is None:
                continue
            place = ctx.place(node, "pg_upstream")
            primary = ctx.value(node, "pg_role") == "primary"
            inside = target in {member.ip for member in nodes}
            known = ctx.topology.nodes.get(target)
            if target == node.ip:
                text = f"{node.ip} would follow itself"
                yield ctx.error(place, text, "name another member, or remove pg_upstream")
            elif primary and inside:
                text = (
                    f"{node.ip} is the primary of {name} and would follow its own member {target}"
                )
                yield ctx.error(place, text, "name the primary of another cluster, or remove it")
            elif not primary and not inside:
                text = f"pg_upstream {target} of {node.ip} is no member of {name}"
                yield ctx.error(place, text, "a replica follows a member of its own cluster")
            elif primary and known is None:
                text = f"pg_upstream {target} of {node.ip} is no host of this inventory"
                yield ctx.warning(place, text, "fine if it is managed elsewhere")
            elif primary and known is not None and not ctx.value(known, "pg_cluster"):
                text = f"pg_upstream {target} of {node.ip} has no PostgreSQL"
                yield ctx.error(place, text, "name the primary of another cluster")


def vip(ctx: Context) -> Iterator[Finding]:
    """Check the virtual address of clusters: given, in CIDR form, and of no machine."""
    for nodes in ctx.clusters("pg_cluster").values():
        for node in nodes:
            if not ctx.flag(node, "pg_vip_enabled"):
                continue
            value = ctx.value(node, "pg_vip_address")
            place = ctx.place(node, "pg_vip_address")
            if value in (None, "", NO_VIP):
                text = f"pg_vip_enabled on {node.ip}, but there is no pg_vip_address"
                hint = "add `pg_vip_address: <free address>/<length>`, for example 10.10.10.2/24"
                yield ctx.error(ctx.place(node, "pg_vip_enabled"), text, hint)
                continue
            try:
                found = ipaddress.IPv4Interface(str(value))
            except ValueError:
                continue  # reported as a wrong type
            if str(found.ip) in ctx.inventory.hosts:
                text = f"the virtual address {found.ip} is the address of a host"
                yield ctx.error(place, text, "choose an address that no machine has")
            elif address(node.ip) and ipaddress.ip_address(node.ip) not in found.network:
                text = f"{node.ip} is outside the network {found.network} of pg_vip_address"
                yield ctx.warning(place, text, "the address must be in the network of the members")


def listen(ctx: Context) -> Iterator[Finding]:
    """Report unknown tokens in pg_listen."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name != "pg_listen" or not isinstance(value, str):
            continue
        for entry in (part.strip() for part in value.split(",")):
            if entry.startswith("${") and entry not in TOKENS:
                text = f"pg_listen: unknown token {quote(entry)}"
                yield ctx.error(use.place, text, f"known are {', '.join(TOKENS)}")


def sharing(ctx: Context) -> Iterator[Finding]:
    """Report clusters whose members disagree about what is one setting of the whole cluster."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        for parameter in SHARED:
            found = {str(ctx.value(node, parameter)): node for node in nodes}
            if len(found) > 1:
                text = f"{parameter} differs within cluster {name}: {', '.join(sorted(found))}"
                node = next(n for n in nodes if ctx.declared(n, parameter))
                hint = "set it once, in the vars of the group"
                yield ctx.error(ctx.place(node, parameter), text, hint)


def version(ctx: Context) -> Iterator[Finding]:
    """Warn of a version that the reference platform lacks, unless there is a repository for it."""
    known = platform.load().modules["pgsql"]["versions"]
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        wanted = ctx.number(nodes[0], "pg_version")
        if wanted is None or wanted in known or ctx.value(nodes[0], "repo_upstream"):
            continue
        brought = ", ".join(map(str, known))
        text = f"PostgreSQL {wanted} of cluster {cluster} is no part of {platform.REFERENCE}"
        hint = f"use {brought}, or name a repository that has it in repo_upstream"
        yield ctx.warning(ctx.place(nodes[0], "pg_version"), text, hint)
