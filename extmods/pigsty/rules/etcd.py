"""The ETCD module."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty.findings import Finding
from pigsty.rules import consul, sequences
from pigsty.rules.context import Context

#: etcd refuses an election time-out below this many heartbeats.
HEARTBEATS = 5


def members(ctx: Context) -> Iterator[Finding]:
    """Check the group etcd: there when it is needed, numbered, of an odd size, one cluster."""
    nodes = [ctx.topology.nodes[ip] for ip in ctx.topology.groups.get("etcd", ())]
    place = ctx.group("etcd")
    members = (node for node in ctx.nodes if "pgsql" in node.modules)
    needed = next((node for node in members if not consul.uses(ctx, node)), None)
    if not nodes:
        if needed is not None:
            text = "there is no etcd host, but the PostgreSQL clusters need etcd"
            hint = "add `etcd: { hosts: { 10.10.10.10: { etcd_seq: 1 } } }` under all.children"
            yield ctx.error(place, text, hint)
        return
    yield from sequences.check(ctx, "etcd", "etcd_seq", nodes, "etcd")
    if len(nodes) % 2 == 0:
        text = f"etcd has {len(nodes)} members: no safer than {len(nodes) - 1}"
        yield ctx.warning(place, text, "use an odd number: 1, 3 or 5")
    names = {ctx.text(node, "etcd_cluster") for node in nodes}
    if len(names) > 1:
        text = f"the hosts of the group etcd name several clusters: {', '.join(sorted(names))}"
        yield ctx.error(place, text, "there is one etcd cluster: set etcd_cluster for the group")


def timing(ctx: Context) -> Iterator[Finding]:
    """Report an election time-out that etcd refuses."""
    for ip in ctx.topology.groups.get("etcd", ()):
        node = ctx.topology.nodes[ip]
        election = ctx.number(node, "etcd_election_timeout")
        heartbeat = ctx.number(node, "etcd_heartbeat_interval")
        if election is not None and heartbeat is not None and election < HEARTBEATS * heartbeat:
            text = (
                f"etcd_election_timeout {election} is below {HEARTBEATS} heartbeats of {heartbeat}"
            )
            place = ctx.place(node, "etcd_election_timeout")
            yield ctx.error(place, text, f"use {HEARTBEATS * heartbeat} or more (milliseconds)")
