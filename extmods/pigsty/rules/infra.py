"""The INFRA module."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty.findings import Finding
from pigsty.rules import sequences
from pigsty.rules.context import Context


def group(ctx: Context) -> Iterator[Finding]:
    """Report a deployment without infra nodes, and infra nodes without a number of their own."""
    members = [ctx.topology.nodes[ip] for ip in ctx.topology.groups.get("infra", ())]
    if not members and ctx.inventory.hosts:
        text = "there is no group infra, so there is no local package repository and no monitoring"
        yield ctx.warning(ctx.group("all"), text, "add it, with the admin node in it")
    yield from sequences.check(ctx, "infra", "infra_seq", members, "infra")
