"""The machines themselves: their keys, their groups, the admin node."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import address, show

#: What makes a host a member of a cluster; a host has at most one cluster of each kind.
IDENTITIES = ("pg_cluster", "redis_cluster", "minio_cluster")
#: Groups that may stand empty: everyone expects them to be there.
MAY_BE_EMPTY = frozenset(("all", "ungrouped"))


def keys(ctx: Context) -> Iterator[Finding]:
    """Report host keys that are no address of a machine, and an inventory without hosts."""
    if not ctx.inventory.hosts:
        hint = "add a group with `hosts: { 10.10.10.10: {} }` under all.children"
        yield ctx.error(Place("all", 1), "the inventory has no hosts", hint)
    for ip, host in ctx.inventory.hosts.items():
        place = Place(host.path, host.line)
        found = address(ip)
        if found is None:
            hint = "use the address of the machine as the key and put its name into nodename"
            yield ctx.error(place, f"the host key {ip[:80]!r} is no IP address", hint)
        elif found.is_unspecified or found.is_multicast:
            yield ctx.error(place, f"{ip} is no address of a machine", "use the machine's address")


def groups(ctx: Context) -> Iterator[Finding]:
    """Report groups without any host."""
    for name, group in ctx.inventory.groups.items():
        if name not in MAY_BE_EMPTY and not ctx.topology.groups.get(name):
            place = Place(group.path, group.line)
            yield ctx.warning(place, f"the group {name} has no hosts", "add hosts, or remove it")


def admin(ctx: Context) -> Iterator[Finding]:
    """Report an admin address that is no host of the inventory."""
    for node in ctx.nodes:
        value = ctx.value(node, "admin_ip")
        place = ctx.place(node, "admin_ip") if ctx.declared(node, "admin_ip") else Place("all.vars")
        if not isinstance(value, str) or address(value) is None:
            if ctx.declared(node, "admin_ip"):
                text = f"admin_ip: expected an IP address, got {show(value)}"
                yield ctx.error(place, text, "for example 10.10.10.10")
        elif value not in ctx.inventory.hosts:
            said = "" if ctx.declared(node, "admin_ip") else " (the default)"
            text = f"admin_ip {value}{said} is no host of this inventory"
            hint = "set it to the address of the node that runs the Salt master"
            yield ctx.error(place, text, hint)


def twice(ctx: Context) -> Iterator[Finding]:
    """Report hosts that two groups put into different clusters of the same module."""
    inventory = ctx.inventory
    for ip, host in inventory.hosts.items():
        if len(host.groups) < 2:
            continue
        for name in IDENTITIES:
            if name in host.variables:
                continue
            first: tuple[str, str] | None = None
            for group in host.groups:
                cluster = _cluster_of(ctx, group, name)
                if not cluster:
                    continue
                if first is None:
                    first = (group, cluster)
                elif cluster != first[1]:
                    module = name.partition("_")[0].replace("pg", "PostgreSQL")
                    text = (
                        f"{ip} stands in two {module} clusters: {first[1]} (group {first[0]}) "
                        f"and {cluster} (group {group})"
                    )
                    hint = "a host has one cluster of each module"
                    yield ctx.error(ctx.host_in(group, ip), text, hint)


def _cluster_of(ctx: Context, group: str, name: str) -> str:
    """Return the cluster that a group (or one above it) gives to its hosts, or ""."""
    found = ""
    for above in ctx.inventory.chain((group,)):
        variable = ctx.inventory.groups[above].variables.get(name)
        if variable is not None and above != "all":
            found = str(variable.value)
    return found
