"""The NODE module: names, /etc/hosts lines, virtual addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pigsty.findings import Finding
from pigsty.rules.context import Context
from pigsty.rules.scalars import address, is_number, quote
from pigsty.topology import Node

HOSTNAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
#: Parameters that hold lines `<address> <name>…`.
HOSTS_LINES = ("node_default_etc_hosts", "node_etc_hosts", "dns_records")


def names(ctx: Context) -> Iterator[Finding]:
    """Report node names that no host can have, and names that two hosts have."""
    taken: dict[str, Node] = {}
    for node in ctx.nodes:
        place = ctx.place(node, "nodename")
        declared = ctx.text(node, "nodename")
        if declared and not HOSTNAME.fullmatch(declared):
            hint = "letters, digits, . and -, beginning and ending with a letter or a digit"
            yield ctx.error(place, f"{quote(declared)} can't be the name of a host", hint)
        other = taken.setdefault(node.name, node) if node.name else node
        if other is not node and not _same_member(ctx, node, other):
            text = f"{node.ip} has the name {node.name}, which {other.ip} has too"
            yield ctx.warning(place, text, "give each node a name of its own")


def _same_member(ctx: Context, node: Node, other: Node) -> bool:
    """Return whether two hosts claim to be one member: a duplicate pg_seq is said elsewhere."""
    cluster = ctx.value(node, "pg_cluster")
    return bool(cluster) and all(
        ctx.value(node, name) == ctx.value(other, name) for name in ("pg_cluster", "pg_seq")
    )


def hosts_lines(ctx: Context) -> Iterator[Finding]:
    """Report lines for /etc/hosts and for the DNS that don't begin with an address."""
    for use in ctx.uses:
        if use.name not in HOSTS_LINES or not isinstance(use.variable.value, (list, tuple)):
            continue
        for index, line in enumerate(use.variable.value):
            if not isinstance(line, str) or line.startswith(("#", "$", "{")):
                continue
            first, _, rest = line.strip().partition(" ")
            if address(first) is None or not rest.strip():
                text = f"{quote(line)} is no line of a hosts file"
                hint = "write `<address> <name> …`, for example 10.10.10.10 db.example"
                yield ctx.error(use.place.inside(index), text, hint)


def vip(ctx: Context) -> Iterator[Finding]:
    """Check the virtual addresses of nodes (keepalived): complete, in range, one master each."""
    masters: dict[str, Node] = {}
    numbers: dict[int, tuple[str, Node]] = {}
    for node in ctx.nodes:
        if not ctx.flag(node, "vip_enabled"):
            continue
        vip_address = ctx.text(node, "vip_address")
        if not vip_address:
            text = f"vip_enabled on {node.ip}, but there is no vip_address"
            hint = "add `vip_address: <a free address of that network>`"
            yield ctx.error(ctx.place(node, "vip_enabled"), text, hint)
            continue
        if address(vip_address) is None:
            continue
        place = ctx.place(node, "vip_address")
        if vip_address in ctx.inventory.hosts:
            text = f"the virtual address {vip_address} is the address of a host"
            yield ctx.error(place, text, "choose an address that no machine has")
        if ctx.text(node, "vip_role").lower() == "master":
            other = masters.setdefault(vip_address, node)
            if other is not node:
                text = f"{node.ip} and {other.ip} are both master of the address {vip_address}"
                yield ctx.error(ctx.place(node, "vip_role"), text, "keep one of them")
        yield from _vrid(ctx, node, vip_address, numbers)


def _vrid(
    ctx: Context, node: Node, vip_address: str, numbers: dict[int, tuple[str, Node]]
) -> Iterator[Finding]:
    """Check the router number of a virtual address: from 1 to 254, and its own in the network."""
    vrid = ctx.value(node, "vip_vrid")
    place = ctx.place(node, "vip_vrid")
    if vrid is None:
        text = f"vip_enabled on {node.ip}, but there is no vip_vrid"
        yield ctx.error(ctx.place(node, "vip_enabled"), text, "add `vip_vrid:` from 1 to 254")
    elif is_number(vrid):
        if not 0 < vrid < 255:
            yield ctx.error(place, f"vip_vrid is {vrid}", "choose a number from 1 to 254")
        known, other = numbers.setdefault(vrid, (vip_address, node))
        if known != vip_address:
            text = (
                f"vip_vrid {vrid} belongs to {known} ({other.ip}) and to {vip_address} ({node.ip})"
            )
            hint = "each virtual address of a network needs a vip_vrid of its own"
            yield ctx.error(place, text, hint)


def shared_vips(ctx: Context) -> Iterator[Finding]:
    """Report an address that two PostgreSQL clusters, or one of them and keepalived, claim."""
    owners: dict[str, str] = {}
    for node in ctx.nodes:
        claims = []
        if ctx.flag(node, "vip_enabled") and address(ctx.text(node, "vip_address")):
            name = ctx.text(node, "vip_address")
            claims.append((name, "vip_address", "vip_address"))
        if ctx.flag(node, "pg_vip_enabled") and "pgsql" in node.modules:
            try:
                name = str(ipaddress.ip_interface(ctx.text(node, "pg_vip_address")).ip)
            except ValueError:
                continue
            cluster = ctx.text(node, "pg_cluster")
            claims.append((name, f"pg_vip_address of {cluster}", "pg_vip_address"))
        for name, owner, parameter in claims:
            known = owners.setdefault(name, owner)
            if known != owner:
                text = f"the virtual address {name} is {owner} and {known} too"
                yield ctx.error(ctx.place(node, parameter), text, "choose another address")
