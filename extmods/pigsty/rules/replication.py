"""Standby clusters, delayed members, and how many members a commit waits for."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from pigsty.errors import PigstyError
from pigsty.findings import Finding
from pigsty.pillar import replication
from pigsty.render import hba
from pigsty.render.patroni import synchronous_mode
from pigsty.render.tuning import template_of
from pigsty.rules.context import Context
from pigsty.rules.scalars import address
from pigsty.topology import Node

#: A standby cluster has the data of its upstream, roles and their passwords included: what must be
#: the same on both, as members of both connect with it, and PgBouncer compares it.
SHARED = (
    "pg_version",
    "pg_dbsu",
    "pg_dbsu_password",
    "pg_replication_username",
    "pg_replication_password",
    "pg_admin_username",
    "pg_admin_password",
    "pg_monitor_username",
    "pg_monitor_password",
    "pg_pwd_enc",
)


def standby(ctx: Context) -> Iterator[Finding]:
    """Check each standby cluster against its upstream: roles, passwords, the way in, no circle."""
    for name, primary, upstream in _pairs(ctx):
        other = ctx.text(upstream, "pg_cluster")
        place = ctx.place(primary, "pg_upstream")
        for parameter in SHARED:
            if ctx.value(primary, parameter) != ctx.value(upstream, parameter):
                text = f"{parameter} of {name} differs from that of {other}, whose copy it is"
                hint = "declare it above both groups, or the same in each"
                found = ctx.place(primary, parameter if ctx.declared(primary, parameter) else "")
                yield ctx.error(found, text, hint)
        if ctx.value(upstream, "pg_role") in replication.ASIDE:
            text = f"pg_upstream of {name} is a member of {other} that stands aside"
            yield ctx.error(place, text, "name its primary, or a replica")
        if not _admits(ctx, upstream, primary.ip):
            text = f"no HBA rule of {other} lets {primary.ip} replicate from it"
            hint = f"add to pg_hba_rules of {other}: {{ user: '${{repl}}', db: replication, … }}"
            yield ctx.error(place, text, hint)
        if circle := _circle(ctx, name):
            text = f"standby clusters in a circle: {' follows '.join(circle)}"
            yield ctx.error(place, text, "one of them has to take writes")


def delayed(ctx: Context) -> Iterator[Finding]:
    """Report a delayed member without a delay, and a delay that delays nobody."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        roles = {node.ip: ctx.value(node, "pg_role") for node in nodes}
        follows = any(
            roles[node.ip] == "primary" and ctx.text(node, "pg_upstream") for node in nodes
        )
        for node in nodes:
            waits = replication.span(ctx.text(node, "pg_delay"))
            if roles[node.ip] == "delayed" and not waits:
                text = f"{node.ip} is a delayed member of {name} without a delay"
                yield ctx.error(ctx.place(node, "pg_role"), text, "add `pg_delay: 1h`")
        stray = [n for n in nodes if replication.span(ctx.text(n, "pg_delay"))]
        if stray and not follows and "delayed" not in roles.values():
            text = f"pg_delay of {name} delays nobody"
            hint = "say `pg_role: delayed` of a member, or pg_upstream of its primary"
            yield ctx.warning(ctx.place(stray[0], "pg_delay"), text, hint)


def synchronous(ctx: Context) -> Iterator[Finding]:
    """Report commits that wait for nobody where nothing may be lost, or for too many."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        needed = {
            key: ctx.value(node, key)
            for key in ("pg_sync_mode", "pg_sync_nodes", "pg_rpo", "pg_conf")
        }
        try:
            critical = template_of(str(needed["pg_conf"])) == "crit"
            mode = synchronous_mode(needed)
            wanted = int(needed["pg_sync_nodes"])
        except (PigstyError, TypeError, ValueError):
            continue  # reported as a wrong type
        if needed["pg_sync_mode"] == "off" and (critical or needed["pg_rpo"] == 0):
            why = "template crit" if critical else "pg_rpo: 0"
            text = f"{name} may lose nothing ({why}), but pg_sync_mode is off"
            yield ctx.error(ctx.place(node, "pg_sync_mode"), text, "say auto, on or quorum")
        others = sum(ctx.value(peer, "pg_role") not in replication.ASIDE for peer in nodes) - 1
        if mode and wanted > max(others, 1):
            text = f"commits of {name} shall be on {wanted} more members, and it has {others}"
            hint = "offline and delayed members don't count; add replicas, or lower it"
            yield ctx.error(ctx.place(node, "pg_sync_nodes"), text, hint)


def _pairs(ctx: Context) -> Iterator[tuple[str, Node, Node]]:
    """Return each standby cluster of the inventory: name, primary, and the host it follows."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        for node in nodes:
            target = ctx.topology.nodes.get(ctx.text(node, "pg_upstream"))
            if ctx.value(node, "pg_role") != "primary" or target is None:
                continue
            if ctx.text(target, "pg_cluster") not in ("", name):
                yield name, node, target


def _circle(ctx: Context, name: str) -> list[str]:
    follows = {one: ctx.text(upstream, "pg_cluster") for one, _, upstream in _pairs(ctx)}
    way = [name]
    while way[-1] in follows:
        way.append(follows[way[-1]])
        if way[-1] == name:
            return way
        if way[-1] in way[:-1]:
            return []
    return []


def _admits(ctx: Context, node: Node, ip: str) -> bool:
    """Whether a member's HBA rules let a host replicate; a rule that can't be read might."""
    intranet = ctx.value(node, "node_firewall_intranet")
    user = str(ctx.value(node, "pg_replication_username"))
    context = hba.Context(
        users={"dbsu": "dbsu", "repl": user, "monitor": "monitor", "admin": "admin"},
        admin=ctx.topology.admin_ip,
        infra=tuple(infra.ip for infra in ctx.topology.infra),
        cluster=tuple(n.ip for n in ctx.clusters("pg_cluster")[ctx.text(node, "pg_cluster")]),
        intranet=tuple(map(str, intranet)) if isinstance(intranet, (list, tuple)) else (),
    )
    for parameter in ("pg_default_hba_rules", "pg_hba_rules"):
        for rule, _ in ctx.objects(node, parameter):
            if rule.get("rules") or "{{" in repr(rule) or _lets(rule, context, user, ip):
                return True
    return address(ip) is None


def _lets(rule: Mapping[str, object], context: hba.Context, user: str, ip: str) -> bool:
    try:
        (compiled,) = hba.compile_rules([rule], context)
    except PigstyError:
        return True  # reported where it stands
    for line in compiled["lines"]:
        kind, databases, users, *rest = line.split()
        if kind == "local" or rest[-1] == "reject" or "replication" not in databases.split(","):
            continue
        if {user, "all"} & set(users.split(",")):
            network = ipaddress.ip_network(rest[0], strict=False)
            if ipaddress.ip_address(ip) in network:
                return True
    return False
