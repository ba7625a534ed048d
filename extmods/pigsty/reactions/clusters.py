"""What follows when another member leads a cluster, or when members come, go, stop and run."""

from __future__ import annotations

import json

from pigsty.reactions.table import follow
from pigsty.reactions.truth import Decision, Truth
from pigsty.topology import PgCluster, PgInstance
from pigsty.views import ClusterView


def leader(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have the members follow who leads now, and the others know of it."""
    cluster = truth.topology.pg_clusters.get(subject)
    if cluster is None:
        return Decision(f"the inventory has no cluster {subject}")
    view = truth.views.get(subject, ClusterView())
    if not view.leader:
        return Decision(f"nobody leads {subject} now", wait=True)
    found = _member(cluster, view.leader)
    if found is None:
        return Decision(f"{view.leader}, which leads {subject}, is not in the inventory")
    why = f"{view.leader} leads {subject}"
    if settled == view.leader:
        return Decision(f"{why}, which was dealt with already", known=True)
    replicas = tuple(m.ip for m in cluster.members if m is not found and m.name in view.members)
    return follow("pgsql.leader", truth, why, view.leader, leader=(found.ip,), replicas=replicas)


def members(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have the members of a cluster and those who serve it know who its members are."""
    cluster = truth.topology.pg_clusters.get(subject)
    if cluster is None:
        return Decision(f"the inventory has no cluster {subject}")
    view = truth.views.get(subject, ClusterView())
    names = sorted(view.members)
    running = sorted(name for name in names if view.members[name].running)
    fact = json.dumps([names, running])
    why = f"{subject} has the members {', '.join(names) or '(none)'}"
    if running != names:
        why += f"; {', '.join(running) or 'none'} of them run"
    if settled == fact:
        return Decision(f"{why}, which was dealt with already", known=True)
    before, ran = json.loads(settled) if settled else ([], [])
    if names != before:
        # One that is only declared is made by a whole run, which brings all of this.
        whom = tuple(member.ip for member in cluster.members if member.name in names)
        return follow("pgsql.member", truth, why, fact, members=whom)
    # Whoever stood still while the lead moved has the rules of its old role.
    woken = tuple(m.ip for m in cluster.members if m.name in set(running) - set(ran))
    return follow("pgsql.running", truth, why, fact, members=woken)


def _member(cluster: PgCluster, name: str) -> PgInstance | None:
    return next((member for member in cluster.members if member.name == name), None)
