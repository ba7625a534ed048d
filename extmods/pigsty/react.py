"""What follows from what: a table, and one pure function that reads it against the truth.

A hint names a subject; everything else is read anew (:class:`Truth`) when its reaction begins. What
the last reaction settled is remembered as a *fact*, for example who led. Where the fact is the same
now, nothing follows: that makes forged, duplicate, late and reordered hints harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pigsty.topology import PgCluster, PgInstance, Topology
from pigsty.views import ClusterView

Where = Literal["leader", "replicas", "members", "node", "peers", "infra"]

#: The whole of a minion's states.
HIGHSTATE = ("highstate",)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One line of the table.

    Attributes:
        stage: follow-ups of one stage run at once; the next stage begins when they have ended.
        where: whose minions.
        sls: which states; all are part of the full highstate too.
    """

    stage: int
    where: Where
    sls: tuple[str, ...]


#: What follows from what. Routing needs nothing after a change of the leader: HAProxy asks Patroni.
FOLLOW_UPS: Mapping[str, tuple[FollowUp, ...]] = MappingProxyType(
    {
        "pgsql.leader": (
            # Rules that are scoped by role, and on the leader what only the leader can do.
            FollowUp(0, "replicas", ("pgsql.hba", "pgsql.pgbouncer")),
            FollowUp(0, "leader", ("pgsql.hba", "pgsql.pgbouncer", "pgsql.objects")),
        ),
        "pgsql.member": (
            FollowUp(0, "members", ("pgsql.hba", "pgsql.service")),
            FollowUp(0, "infra", ("infra",)),
        ),
        # It was as the inventory wants it when it went away. Who leads may have changed since.
        "node.back": (FollowUp(0, "node", ("pgsql.hba", "pgsql.pgbouncer")),),
        "pgsql.running": (FollowUp(0, "members", ("pgsql.hba", "pgsql.pgbouncer")),),
        "node.join": (
            FollowUp(0, "node", HIGHSTATE),
            FollowUp(1, "peers", ("node.hosts", "pgsql.hba", "pgsql.service")),
            FollowUp(1, "infra", ("infra",)),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Truth:
    """The world when a reaction begins.

    Attributes:
        topology: what the inventory declares, the last good one.
        views: the clusters as the store has them, by their name in the inventory.
        minions: ids of the minions that are connected now.
        deployed: whether the admin node was applied once: before that a person is at work.
    """

    topology: Topology
    views: Mapping[str, ClusterView]
    minions: frozenset[str]
    deployed: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """States to be run on some minions."""

    hosts: tuple[str, ...]
    sls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about something.

    Attributes:
        why: a sentence about what is true now, for example "pg-test-2 leads pg-test".
        stages: groups of steps, one after the other; none: nothing is to be done.
        fact: what is settled once it has been done.
        absent: minions that ought to follow and aren't connected; they catch up when they join.
        wait: whether the truth isn't ready for it yet, so that it has to be asked again.
    """

    why: str
    stages: tuple[tuple[Step, ...], ...] = ()
    fact: str | None = None
    absent: tuple[str, ...] = ()
    wait: bool = False


def decide(kind: str, subject: str, truth: Truth, settled: str | None) -> Decision:
    """Return what follows now.

    Args:
        kind: what a hint was about, one of :data:`KINDS`.
        subject: whom it was about.
        truth: the world, read after the hint came.
        settled: the fact that was dealt with last, None for none.
    """
    return _DECIDERS[kind](subject, truth, settled)


def _leader(subject: str, truth: Truth, settled: str | None) -> Decision:
    cluster = truth.topology.pg_clusters.get(subject)
    if cluster is None:
        return Decision(f"the inventory has no cluster {subject}")
    view = truth.views.get(subject, ClusterView())
    if not view.leader:
        return Decision(f"nobody leads {subject} now", wait=True)
    leader = _member(cluster, view.leader)
    if leader is None:
        return Decision(f"{view.leader}, which leads {subject}, is not in the inventory")
    why = f"{view.leader} leads {subject}"
    if settled == view.leader:
        return Decision(f"{why}, which was dealt with already")
    replicas = tuple(m.ip for m in cluster.members if m is not leader and m.name in view.members)
    return _plan("pgsql.leader", truth, why, view.leader, leader=(leader.ip,), replicas=replicas)


def _members(subject: str, truth: Truth, settled: str | None) -> Decision:
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
        return Decision(f"{why}, which was dealt with already")
    before, ran = json.loads(settled) if settled else ([], [])
    if names != before:
        # One that is only declared is made by a whole run, which brings all of this.
        members = tuple(member.ip for member in cluster.members if member.name in names)
        return _plan("pgsql.member", truth, why, fact, members=members)
    # Whoever stood still while the lead moved has the rules of its old role.
    woken = tuple(m.ip for m in cluster.members if m.name in set(running) - set(ran))
    return _plan("pgsql.running", truth, why, fact, members=woken)


def _node(subject: str, truth: Truth, settled: str | None) -> Decision:
    node = truth.topology.nodes.get(subject)
    if node is None:
        return Decision(f"the inventory has no host {subject}")
    if not truth.deployed:
        return Decision("the deployment was never applied: `pigsty apply` begins with all nodes")
    if subject not in truth.minions:
        return Decision(f"{subject} is not connected", wait=True)
    member = truth.topology.pg_instances.get(subject)
    peers: tuple[str, ...] = ()
    if member is not None:
        cluster = truth.topology.pg_clusters[member.cluster]
        peers = tuple(other.ip for other in cluster.members if other.ip != subject)
    checksum = truth.topology.inventory.checksum
    if settled == checksum:
        why = f"{node.name or subject} is back"
        return _plan("node.back", truth, why, checksum, node=(subject,) if member else ())
    why = f"{node.name or subject} has joined"
    return _plan("node.join", truth, why, checksum, node=(subject,), peers=peers)


_DECIDERS: Mapping[str, Callable[[str, Truth, str | None], Decision]] = MappingProxyType(
    {"pgsql.leader": _leader, "pgsql.member": _members, "node.join": _node}
)


#: What is reacted to.
KINDS = frozenset(_DECIDERS)


def _plan(kind: str, truth: Truth, why: str, fact: str, **whom: tuple[str, ...]) -> Decision:
    """Return the steps of the table for those minions that are connected."""
    everybody = {"infra": tuple(infra.ip for infra in truth.topology.infra), **whom}
    stages: dict[int, list[Step]] = {}
    absent: set[str] = set()
    for follow_up in FOLLOW_UPS[kind]:
        hosts = everybody.get(follow_up.where, ())
        there = tuple(host for host in hosts if host in truth.minions)
        absent.update(set(hosts) - set(there))
        if there:
            stages.setdefault(follow_up.stage, []).append(Step(there, follow_up.sls))
    return Decision(
        why=why,
        stages=tuple(tuple(stages[number]) for number in sorted(stages)),
        fact=fact,
        absent=tuple(sorted(absent)),
    )


def _member(cluster: PgCluster, name: str) -> PgInstance | None:
    return next((member for member in cluster.members if member.name == name), None)
