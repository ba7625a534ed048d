"""Citus: groups of a sharded cluster, what they have to agree on, and where the package is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pigsty import platform
from pigsty.findings import Finding
from pigsty.rules.context import Context
from pigsty.rules.pgsql import CLUSTER, RESERVED
from pigsty.rules.scalars import quote
from pigsty.sharding import COORDINATOR, MODE
from pigsty.topology import Node

#: What says that a cluster is a group of another.
IDENTITY = ("pg_shard", "pg_group")
#: What all groups of a shard have to have in common: one database, servers that understand and
#: let in each other, and one way into the DCS.
SHARED = (
    "pg_primary_db",
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
    "pg_namespace",
    "pg_etcd_password",
    "pg_dcs_type",
    "pg_consul_token",
    "patroni_username",
    "patroni_password",
    "patroni_ssl_enabled",
)
#: Databases that every server has; roles and databases are managed through the first.
COMMON = ("postgres", "template0", "template1")


def identity(ctx: Context) -> Iterator[Finding]:
    """Check that each group names its shard and number, and that nobody else does."""
    for name, nodes in ctx.clusters("pg_cluster").items():
        node, mode = nodes[0], ctx.text(nodes[0], "pg_mode")
        missing = [key for key in IDENTITY if ctx.value(node, key) in (None, "")]
        if mode == MODE and missing:
            text = f"cluster {name} is a group of Citus without {' and '.join(missing)}"
            hint = "`pg_shard: <name>` for all groups, `pg_group: 0` for the coordinator, 1, 2, …"
            yield ctx.error(ctx.place(node, "pg_mode"), text, hint)
        for key in IDENTITY:
            if mode in ("", "pgsql") and key not in missing:
                text = f"{key} of cluster {name} has no effect without pg_mode: citus"
                yield ctx.warning(ctx.place(node, key), text, "add it, or remove this")


def shards(ctx: Context) -> Iterator[Finding]:
    """Check each shard's name, that its groups are numbered well, and that they fit together."""
    clusters = ctx.clusters("pg_cluster")
    for shard, groups in _shards(ctx).items():
        first = groups[0]
        place = ctx.place(first, "pg_shard")
        if not CLUSTER.fullmatch(shard) or shard in RESERVED:
            hint = "letters, digits and -, at most 59, for example pg-citus"
            yield ctx.error(place, f"bad name of a shard: {quote(shard)}", hint)
        elif shard in clusters and clusters[shard][0] not in groups:
            text = f"the shard {shard} has the name of a cluster that is none of its groups"
            yield ctx.error(place, text, "their keys in the DCS would mix: choose another name")
        yield from _numbers(ctx, shard, groups)
        for other in groups[1:]:
            for key in SHARED:
                if ctx.value(other, key) != ctx.value(first, key):
                    one, two = (ctx.text(node, "pg_cluster") for node in (other, first))
                    text = f"{key} of {one} differs from that of {two}, in the same shard {shard}"
                    found = ctx.place(other, key if ctx.declared(other, key) else "pg_shard")
                    yield ctx.error(found, text, "declare it once, above all groups")


def _numbers(ctx: Context, shard: str, groups: list[Node]) -> Iterator[Finding]:
    seen: dict[int, str] = {}
    for node in groups:
        number, name = ctx.number(node, "pg_group"), ctx.text(node, "pg_cluster")
        if number in seen:
            text = f"duplicate pg_group: {number} of {name} in {shard} belongs to {seen[number]}"
            yield ctx.error(ctx.place(node, "pg_group"), text, f"use {max(seen) + 1}")
        elif number is not None:
            seen[number] = name
    if seen and COORDINATOR not in seen:
        text = f"the shard {shard} has no coordinator"
        hint = "clients connect to it: one cluster with `pg_group: 0`"
        yield ctx.error(ctx.place(groups[0], "pg_shard"), text, hint)


def database(ctx: Context) -> Iterator[Finding]:
    """Check that the sharded database is one of its own, and declared."""
    for shard, groups in _shards(ctx).items():
        for node in groups:
            name = ctx.text(node, "pg_primary_db")
            key = "pg_primary_db" if ctx.declared(node, "pg_primary_db") else "pg_shard"
            if name in COMMON:
                text = f"the sharded database of {shard} is {name}, which every server has"
                hint = "add `pg_primary_db: <name>` and declare that database in pg_databases"
                yield ctx.error(ctx.place(node, key), text, hint)
            elif name and name not in ctx.names(node, "pg_databases"):
                cluster = ctx.text(node, "pg_cluster")
                text = f"pg_primary_db {name} of {cluster} isn't among its pg_databases"
                hint = "Patroni makes it, but nobody gives it an owner, schemas and access"
                yield ctx.warning(ctx.place(node, key), text, hint)


def upstream(ctx: Context) -> Iterator[Finding]:
    """Report a group that shall follow another cluster, or that another follows."""
    members = {node.ip for groups in _shards(ctx).values() for node in _members(ctx, groups)}
    for node in ctx.nodes:
        target = ctx.text(node, "pg_upstream")
        if not target or ctx.value(node, "pg_role") != "primary":
            continue
        if {node.ip, target} & members:
            text = f"{node.ip} would follow {target}: a group of Citus is no standby, nor has one"
            hint = "a copy would know the addresses of the original's groups: use backups"
            yield ctx.error(ctx.place(node, "pg_upstream"), text, hint)


def package(ctx: Context) -> Iterator[Finding]:
    """Say where no package of Citus is: without its library a member does not start."""
    known = platform.load().modules["extensions"]["packages"]
    for shard, groups in _shards(ctx).items():
        node = groups[0]
        listed = [
            token
            for name in ("pg_extensions", "pg_packages")
            for entry in ctx.value(node, name) or ()
            for token in str(entry).replace(",", " ").split()
            if "citus" in token and (token not in known or known[token])
        ]
        if listed and (ctx.value(node, "repo_upstream") or set(listed) & set(known)):
            continue
        place = ctx.place(node, "pg_mode")
        if not listed:
            text = f"no package in pg_extensions brings Citus to {shard}"
        else:
            text = f"the package {listed[0]} of {shard} isn't in the configured sources"
        text += f": without it no member starts ({platform.REFERENCE} has none)"
        hint = "a source in repo_upstream, and its package's name in pg_extensions"
        yield ctx.warning(place, text, hint)


def _shards(ctx: Context) -> Mapping[str, list[Node]]:
    """Return the shards: a host of each group, in the order of their clusters."""
    found: dict[str, list[Node]] = {}
    for nodes in ctx.clusters("pg_cluster").values():
        shard = ctx.text(nodes[0], "pg_shard")
        if shard and ctx.text(nodes[0], "pg_mode") == MODE:
            found.setdefault(shard, []).append(nodes[0])
    return found


def _members(ctx: Context, groups: list[Node]) -> list[Node]:
    clusters = ctx.clusters("pg_cluster")
    return [node for group in groups for node in clusters[ctx.text(group, "pg_cluster")]]
