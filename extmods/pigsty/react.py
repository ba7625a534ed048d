"""What follows from what: a table, and one pure function that reads it against the truth.

A hint names a subject; everything else is read anew (:class:`Truth`) when its reaction begins. What
the last reaction settled is remembered as a *fact*, for example who led. Where the fact is the same
now, nothing follows: that makes forged, duplicate, late and reordered hints harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pigsty import alerting, joining
from pigsty.automatic import Automatic
from pigsty.clients.keys import Key
from pigsty.kept import Basis
from pigsty.plan import WHOLE, Plan
from pigsty.scaling import FILTER, PEERS, PROVIDER, SERVICES
from pigsty.topology import PgCluster, PgInstance, Topology
from pigsty.views import ClusterView

Where = Literal[
    "leader",
    "replicas",
    "members",
    "node",
    "peers",
    "zoned",
    "carriers",
    "stores",
    "clients",
    "named",
    "others",
    "infra",
]

#: The whole of a minion's states.
HIGHSTATE = (WHOLE,)
#: So many hosts of a group are named in a sentence.
_FEW = 5


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
            # The cluster's name leads to the new leader.
            FollowUp(0, "infra", ("infra.dns",)),
        ),
        "pgsql.member": (
            FollowUp(0, "members", ("pgsql.hba", "pgsql.service")),
            FollowUp(0, "infra", ("infra",)),
        ),
        # It was as the inventory wants it when it went away. Who leads may have changed since.
        "node.back": (FollowUp(0, "node", ("pgsql.hba", "pgsql.pgbouncer")),),
        "pgsql.running": (FollowUp(0, "members", ("pgsql.hba", "pgsql.pgbouncer")),),
        "node.join": (
            # The repository gets what it installs, its peers let it in: it waits for both.
            FollowUp(0, "infra", ("infra.repo",)),
            FollowUp(0, "node", HIGHSTATE),
            FollowUp(0, "peers", PEERS),
            FollowUp(0, "zoned", (FILTER, *PEERS)),
            FollowUp(0, "stores", ("etcd",)),
            FollowUp(0, "named", ("node.hosts",)),
            FollowUp(0, "clients", ("node.hosts", "pgsql.patroni", "pgsql.vip")),
            # When it serves, it is led to and watched.
            FollowUp(1, "peers", (SERVICES,)),
            FollowUp(1, "zoned", (SERVICES,)),
            FollowUp(1, "carriers", (PROVIDER,)),
            FollowUp(1, "infra", ("infra",)),
        ),
        # Its cluster was told by `pigsty pgsql rm`; here is what is left of it.
        "node.leave": (FollowUp(0, "others", ("node.hosts",)), FollowUp(1, "infra", ("infra",))),
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
        alerts: what fires now; read for hints about alerts only.
        change: what the inventory touches, compared with what hosts were applied with; None where
            nobody asked for it.
        trouble: why the inventory itself isn't used but the last good one, "" when it is.
        basis: what pillars are made of now; None while the inventory is being written.
        keys: the keys of minions that the master has.
    """

    topology: Topology
    views: Mapping[str, ClusterView]
    minions: frozenset[str]
    deployed: bool = True
    alerts: tuple[alerting.Firing, ...] = ()
    change: Plan | None = None
    trouble: str = ""
    basis: Basis | None = None
    keys: tuple[Key, ...] = ()

    @property
    def automatic(self) -> Automatic:
        """What the deployment does by itself."""
        return Automatic.of(self.topology.inventory)


@dataclass(frozen=True, slots=True)
class Step:
    """States to be run on some minions.

    Attributes:
        hosts: whose minions.
        sls: which states.
        audit: whether they are only to look.
    """

    hosts: tuple[str, ...]
    sls: tuple[str, ...]
    audit: bool = False


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
    checksum = truth.topology.inventory.checksum
    if settled is not None:
        why = f"{node.name or subject} is back"
        back = _plan("node.back", truth, why, settled, node=(subject,) if member else ())
        if truth.change is None or not truth.automatic.apply or truth.change.gone:
            return back
        # It catches up with what was edited while it was away.
        return replace(back, stages=(*back.stages, *_steps(truth.change, truth.minions)))
    why = f"{node.name or subject} has joined"
    whom = joining.concerned(truth.topology, subject)
    return _plan("node.join", truth, why, checksum, node=(subject,), **whom)


def _left(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have the others forget a machine that was taken out of the inventory, and lost its key."""
    if subject in truth.topology.nodes:
        return Decision(f"{subject} stands in the inventory: nobody forgets it")
    if any(key.id == subject and key.state == "accepted" for key in truth.keys):
        return Decision(f"the key of {subject} is accepted: `pigsty node rm {subject}` ends that")
    checksum = truth.topology.inventory.checksum
    why = f"{subject} is no part of the deployment any more"
    if settled == checksum:
        return Decision(f"{why}, which was dealt with already")
    if not truth.deployed:
        return Decision(why)
    return _plan("node.leave", truth, why, checksum, others=tuple(truth.topology.nodes))


def _key(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Say what is wrong with a key that the master did not take; nothing is done about it."""
    fact = refused_keys(truth.keys, subject)
    if not fact:
        return Decision(f"no key of {subject} waits or was refused", fact=fact)
    own = [key for key in truth.keys if key.id == subject and key.state == "accepted"]
    shown = next(k for k in truth.keys if k.id == subject and k.state != "accepted")
    what = f"key {shown.fingerprint[:23]}…"
    if own:
        why = (
            f"somebody calls itself {subject} and shows another key ({what}): refused. The machine "
            f"whose key is known ({own[0].fingerprint[:23]}…) goes on"
        )
    elif subject in truth.topology.nodes:
        why = (
            f"{subject} showed a key that nobody has brought there ({what}): {shown.state}. "
            f"`pigsty node add {subject}` makes it a node"
        )
    else:
        why = f"the inventory has no host {subject}, which showed a {what}: {shown.state}"
    return Decision(why, fact=fact)


def refused_keys(keys: Iterable[Key], subject: str) -> str:
    """Return the keys of an id that the master did not take, as one fact; "" for none."""
    found = (key for key in keys if key.id == subject and key.state != "accepted")
    return " ".join(f"{key.state}:{key.fingerprint}" for key in found)


def _inventory(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Apply an edit where the deployment is to do so by itself; else say what it touches."""
    change = truth.change
    if truth.trouble or change is None:
        return Decision(_refused_text(truth))
    if not truth.deployed:
        return Decision("the deployment was never applied: `pigsty apply` begins with all nodes")
    fact = f"{change.basis} {'auto' if truth.automatic.apply else 'told'}"
    if settled == fact:
        return Decision("the inventory is what was dealt with already")
    if not change.hosts:
        why = change.human[0] if change.human else "the edit touches no host's states"
        return Decision(why, fact=fact)
    what = _touched(change)
    if change.gone:
        # Peers would let go of what still runs: a person says in which order that goes.
        why = f"{what}. Nothing is done by itself, because {change.human[0]}"
        return Decision(why, fact=fact)
    if not truth.automatic.apply:
        why = f"{what}: `pigsty plan` shows it, `pigsty apply --changed` carries it out"
        return Decision(why, fact=fact)
    hosts = {host.host for host in change.hosts}
    return Decision(
        what,
        stages=_steps(change, truth.minions),
        fact=fact,
        absent=tuple(sorted(hosts - truth.minions)),
    )


def _drift(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have a machine looked at, if it is there and was applied."""
    node = truth.topology.nodes.get(subject)
    if node is None:
        return Decision(f"the inventory has no host {subject}")
    if not truth.deployed:
        return Decision("the deployment was never applied: nothing can have drifted")
    if subject not in truth.minions:
        return Decision(f"{subject} is not connected, so it wasn't looked at")
    step = Step((subject,), HIGHSTATE, audit=True)
    return Decision(node.name or subject, stages=((step,),))


def _bad(subject: str, truth: Truth, settled: str | None) -> Decision:
    return Decision(_refused_text(truth))


def _refused_text(truth: Truth) -> str:
    if truth.trouble:
        return f"{truth.trouble}; the last good one goes on being used"
    return "the inventory is good"


def _touched(change: Plan) -> str:
    """Return the sentence about an edit: what is to run where."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for host in change.hosts:
        groups.setdefault(host.states, []).append(host.name or host.host)
    parts = [
        f"{' '.join(states)} on {', '.join(names[:_FEW])}"
        + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
        for states, names in groups.items()
    ]
    return f"the edit touches {'; '.join(parts)}"


def _steps(change: Plan, minions: frozenset[str]) -> tuple[tuple[Step, ...], ...]:
    """Return the stages of a plan for those minions that are connected."""
    stages = []
    for jobs in change.stages():
        steps = [
            Step(there, job.states or HIGHSTATE)
            for job in jobs
            if (there := tuple(host for host in job.hosts if host in minions))
        ]
        if steps:
            stages.append(tuple(steps))
    return tuple(stages)


def _alert(subject: str, truth: Truth, settled: str | None) -> Decision:
    found = alerting.judge(subject, truth.alerts, truth.topology)
    if found.fact is not None and found.fact == settled:
        return Decision(f"{found.why}, which was dealt with already")
    steps, absent = [], set[str]()
    for sls, hosts in sorted(found.states.items()):
        there = tuple(host for host in hosts if host in truth.minions)
        absent.update(set(hosts) - set(there))
        steps += [Step(there, (sls,))] if there else []
    stages = (tuple(steps),) if steps else ()
    return Decision(found.why, stages, found.fact, tuple(sorted(absent)))


_DECIDERS: Mapping[str, Callable[[str, Truth, str | None], Decision]] = MappingProxyType(
    {
        "alert.firing": _alert,
        "alert.resolved": _alert,
        "drift": _drift,
        "inventory.bad": _bad,
        "inventory.changed": _inventory,
        "node.join": _node,
        "node.key": _key,
        "node.leave": _left,
        "pgsql.leader": _leader,
        "pgsql.member": _members,
    }
)


#: What is reacted to.
KINDS = frozenset(_DECIDERS)


def _plan(kind: str, truth: Truth, why: str, fact: str, **whom: tuple[str, ...]) -> Decision:
    """Return the steps of the table for those minions that are connected."""
    everybody = {"infra": tuple(infra.ip for infra in truth.topology.infra), **whom}
    stages: dict[int, dict[str, tuple[str, ...]]] = {}
    absent: set[str] = set()
    for follow_up in FOLLOW_UPS[kind]:
        for host in everybody.get(follow_up.where, ()):
            if host not in truth.minions:
                absent.add(host)
                continue
            # One run per machine: two at once would be refused there.
            stage = stages.setdefault(follow_up.stage, {})
            stage[host] = _both(stage.get(host, ()), follow_up.sls)
    return Decision(
        why=why,
        stages=tuple(_grouped(stages[number]) for number in sorted(stages)),
        fact=fact,
        absent=tuple(sorted(absent)),
    )


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of two follow-ups of one minion."""
    if HIGHSTATE in (first, second):
        return HIGHSTATE
    return tuple(dict.fromkeys((*first, *second)))


def _grouped(stage: Mapping[str, tuple[str, ...]]) -> tuple[Step, ...]:
    """Return one step for all machines that run the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for host, sls in stage.items():
        # The whole is more than any of its parts.
        groups.setdefault(HIGHSTATE if WHOLE in sls else sls, []).append(host)
    return tuple(Step(tuple(hosts), sls) for sls, hosts in groups.items())


def _member(cluster: PgCluster, name: str) -> PgInstance | None:
    return next((member for member in cluster.members if member.name == name), None)
