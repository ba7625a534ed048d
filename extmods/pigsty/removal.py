"""What removing members of a PostgreSQL cluster, or all of it, would do; or why it must not.

Decided from three things, none of which is trusted alone: the cluster's keys in the DCS (who lives
and who leads), the records that members have left on their machines (whose data are where), and the
inventory (what shall be, and what may be deleted).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty import keyspace, sharding
from pigsty.dcs import Cluster
from pigsty.errors import PigstyError
from pigsty.targets import TargetError, nearest
from pigsty.topology import Topology


class RemovalRefused(PigstyError):
    """The removal would harm, or can't work: nothing was changed."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Trace:
    """What a machine says of the member that lives on it (see :mod:`pigsty.render.record`).

    Attributes:
        cluster: the member's cluster.
        instance: the member.
        safeguard: it is protected.
        remove_data: its data may be deleted.
        remove_backup: whether backups go with the cluster; None where the inventory doesn't say.
        remove_packages: its packages go with it.
        shard: the Citus cluster that its cluster is a group of, "" for none.
        store: which store its cluster's keys are in: ``etcd`` or ``consul``.
    """

    cluster: str
    instance: str
    safeguard: bool
    remove_data: bool
    remove_backup: bool | None
    remove_packages: bool
    shard: str = ""
    store: str = "etcd"


@dataclass(frozen=True, slots=True)
class World:
    """All that is known before a removal.

    Attributes:
        topology: the inventory as it is now.
        live: the cluster in the DCS.
        traces: by host, of the machines whose minion answered; None where no member lives.
        silent: machines whose minion didn't answer, and why.
        answering: names of members whose Patroni answers.
        serving: the leader's Patroni says that it takes writes.
    """

    topology: Topology
    live: Cluster
    traces: Mapping[str, Trace | None]
    silent: Mapping[str, str]
    answering: frozenset[str]
    serving: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for.

    Attributes:
        words: names or addresses of members; none for the whole cluster.
        dead: the members' machines are gone for good.
        switchover: a member that leads hands the lead over first.
        backups: the cluster's backups go too.
    """

    words: tuple[str, ...] = ()
    dead: bool = False
    switchover: bool = False
    backups: bool = False


@dataclass(frozen=True, slots=True)
class Going:
    """A member that goes.

    Attributes:
        name: the member.
        host: its machine.
        declared: the inventory has it still.
        there: its machine answers and holds it.
        data: its data are deleted.
        packages: its packages are removed.
    """

    name: str
    host: str
    declared: bool
    there: bool
    data: bool
    packages: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done.

    Attributes:
        cluster: of which cluster.
        whole: nothing of it is left afterwards.
        members: who goes; those whose machine answers are stopped and deleted there.
        handover: the leader that hands over first, "" for none.
        backups: the backups are deleted.
        peers: hosts of the members that stay and have to be told.
        sentences: what will be done, for a person.
    """

    cluster: str
    whole: bool
    members: tuple[Going, ...]
    handover: str
    backups: bool
    peers: tuple[str, ...]
    sentences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, as ``-o json`` shows it."""
        return {
            "cluster": self.cluster,
            "whole": self.whole,
            "members": [
                {"member": m.name, "host": m.host, "there": m.there, "data": m.data}
                for m in self.members
            ],
            "switchover": self.handover,
            "backups": self.backups,
            "peers": list(self.peers),
            "plan": list(self.sentences),
        }


def hosts(topology: Topology, live: Cluster, words: Iterable[str]) -> tuple[str, ...]:
    """Return the machines that may hold members of a cluster: those to be asked for their records.

    Args:
        topology: the inventory.
        live: the cluster in the DCS.
        words: what a person named; an address counts, also one that nobody knows.
    """
    declared = topology.pg_clusters.get(live.name)
    found = [member.ip for member in declared.members] if declared else []
    found += [member.host for member in live.members if member.host]
    found += [word for word in words if _address(word)]
    return tuple(dict.fromkeys(found))


def plan(world: World, wish: Wish) -> Plan:
    """Decide what a removal does.

    Raises:
        RemovalRefused: it must not be done; the text says why and what to do instead.
        TargetError: the cluster has no such member.
    """
    live = world.live
    known = _known(world)
    _known_place(world)
    if not live.exists and not any(_lives(world, name, host) for name, host in known.items()):
        raise TargetError(
            f"nothing lives of a cluster {live.name}, neither in the DCS nor on a machine"
        )
    chosen = _chosen(world, known, wish.words)
    staying = [name for name in known if name not in chosen and _lives(world, name, known[name])]
    whole = not staying
    if whole and wish.words:
        raise RemovalRefused(
            f"{', '.join(chosen)} is all that lives of {live.name}: `pigsty pgsql rm {live.name}` "
            "without members removes the cluster"
        )
    if whole:
        _no_group(world)
    members = tuple(_going(world, name, known[name]) for name in chosen)
    _guard(world, members)
    if live.paused and live.leader:
        raise RemovalRefused(
            f"{live.name} is paused: somebody does maintenance. End it first "
            f"(pigsty pgsql resume {live.name})"
        )
    for member in members:
        _reachable(world, member, dead=wish.dead)
    handover = "" if whole else _leadership(world, chosen, staying, wish)
    backups = _backups(world, members, wish) if whole else _no_backups(world, wish)
    declared = world.topology.pg_clusters.get(live.name)
    # Peers learn of it from the inventory: while that has the members still, there is no news.
    taken = declared is not None and not all(member.declared for member in members)
    staying_declared = [m.ip for m in declared.members if m.name not in chosen] if declared else []
    peers = tuple(staying_declared) if taken and not whole else ()
    found = Plan(live.name, whole, members, handover, backups, peers, ())
    return Plan(live.name, whole, members, handover, backups, peers, _sentences(world, found))


def afterwards(plan: Plan, topology: Topology) -> list[str]:
    """Return what is left for the person to do: the inventory is theirs, and so is Consul.

    Args:
        plan: what was done.
        topology: the inventory.
    """
    declared = [member for member in plan.members if member.declared]
    if not declared:
        return []
    named = ", ".join(member.host for member in declared)
    if plan.whole:
        cluster = topology.pg_clusters.get(plan.cluster)
        if cluster is not None and keyspace.kind(cluster) == "consul":
            then = "take it out, and its token out of Consul"
        else:
            then = "take it out, then `pigsty apply -m etcd` removes its user there"
        return [
            f"{plan.cluster} still stands in the inventory, and the next apply would make it "
            f"anew: {then}"
        ]
    return [
        f"{named} still stands in the inventory, and the next apply would make it a member again: "
        f"take it out of {plan.cluster}, then `pigsty apply {plan.cluster}` tells the others"
    ]


def _known_place(world: World) -> None:
    """Refuse what the inventory has forgotten and whose keys only that could open or find."""
    cluster = world.live.name
    traces = [trace for trace in world.traces.values() if trace and trace.cluster == cluster]
    if any(trace.store == "consul" for trace in traces) and (
        cluster not in world.topology.pg_clusters
    ):
        raise RemovalRefused(
            f"{cluster} was made in Consul, and the token that opens its keys there went out of "
            "the inventory with it: put it back there first"
        )
    shard = next((trace.shard for trace in traces if trace.shard), "")
    if shard and cluster not in world.topology.pg_clusters:
        raise RemovalRefused(
            f"{cluster} was made as a group of the Citus cluster {shard}, and only the inventory "
            "says which: put it back there first"
        )


def _no_group(world: World) -> None:
    """Refuse to remove all of a group of Citus: the others go on counting on what it holds."""
    declared = world.topology.pg_clusters.get(world.live.name)
    group = sharding.group(declared) if declared else None
    if group:
        raise RemovalRefused(
            f"{world.live.name} is group {group.number} of the Citus cluster {group.shard}: "
            "members can be removed, but not all of a group, as its shards would be lost and the "
            "other groups go on asking for them"
        )


def _known(world: World) -> dict[str, str]:
    """Return the host of each member that is declared, lives, or has left its record."""
    declared = world.topology.pg_clusters.get(world.live.name)
    found = {member.name: member.ip for member in declared.members} if declared else {}
    for member in world.live.members:
        found[member.name] = member.host or found.get(member.name, "")
    for host, trace in world.traces.items():
        if trace is not None and trace.cluster == world.live.name:
            found[trace.instance] = host
    return dict(sorted(found.items()))


def _chosen(world: World, known: Mapping[str, str], words: Sequence[str]) -> list[str]:
    if not words:
        return list(known)
    cluster = world.live.name
    names = {host: name for name, host in known.items()}
    elsewhere = {m.name: m for m in world.topology.pg_instances.values()}
    elsewhere |= world.topology.pg_instances
    found: list[str] = []
    for word in words:
        name = word if word in known else names.get(word)
        other = elsewhere.get(word)
        if name is None and other is not None:
            raise TargetError(f"{word} is a member of {other.cluster}, not of {cluster}")
        if name is None:
            raise TargetError(nearest(word, [*known, *known.values()], f"member of {cluster}"))
        found.append(name)
    return sorted(set(found))


def _lives(world: World, name: str, host: str) -> bool:
    """Return whether something of a member is left: its key in the DCS, or its record."""
    trace = world.traces.get(host)
    return world.live.member(name) is not None or (trace is not None and trace.instance == name)


def _going(world: World, name: str, host: str) -> Going:
    declared = world.topology.pg_instances.get(host)
    trace = world.traces.get(host)
    there = trace is not None and trace.instance == name
    data, packages = True, False
    if trace is not None and there:
        data, packages = trace.remove_data, trace.remove_packages
    known = declared is not None and declared.name == name
    if known and declared is not None:
        data = bool(declared.vars["pg_rm_data"])
    return Going(name, host, known, there, data, packages)


def _guard(world: World, members: Iterable[Going]) -> None:
    cluster = world.topology.pg_clusters.get(world.live.name)
    for member in members:
        trace = world.traces.get(member.host)
        if member.declared:
            guarded = bool(world.topology.pg_instances[member.host].vars["pg_safeguard"])
        elif cluster is not None:
            guarded = bool(cluster.vars["pg_safeguard"])
        else:
            guarded = trace is not None and trace.safeguard
        if guarded:
            raise RemovalRefused(
                f"{member.name} is protected: set `pg_safeguard: false`"
                + ("" if cluster is not None else " (in the inventory that had it, and apply)")
                + " if it is really to go"
            )


def _reachable(world: World, member: Going, *, dead: bool) -> None:
    """Refuse a machine that is silent without being called dead, and a dead one that lives."""
    silent = world.silent.get(member.host)
    if silent is None:
        if dead and member.there:
            raise RemovalRefused(f"{member.host} answers: {member.name} can be removed as it is, "
                                 "without --dead")  # fmt: skip
        return
    if not dead:
        raise RemovalRefused(
            f"{member.host} can't be asked to let go of {member.name}: {silent}. If that machine "
            "is gone for good, say --dead"
        )
    if member.name in world.answering:
        raise RemovalRefused(
            f"{member.name} lives, its Patroni answers; only the minion of {member.host} is silent"
        )
    if member.declared:
        raise RemovalRefused(
            f"{member.host} still stands in the inventory: take it out first, so that the others "
            "forget it"
        )


def _leadership(world: World, chosen: Sequence[str], staying: Sequence[str], wish: Wish) -> str:
    """Refuse what leaves the members that stay without a leader; return who hands over first."""
    live = world.live
    if not live.leader or not world.serving:
        who = f"its leader {live.leader} doesn't serve" if live.leader else "it has no leader"
        raise RemovalRefused(
            f"{live.name} is not well, {who}: a member may hold the newest data. "
            f"`pigsty pgsql list {live.name}` shows them"
        )
    rest = [m for m in live.members if m.name in staying]
    if live.synchronous and not any(m.name != live.leader and not m.nosync for m in rest):
        raise RemovalRefused(
            f"commits of {live.name} wait for a second member, and no other one would be left for "
            "that: set `pg_rpo` above 0 (and another `pg_conf` than crit) and apply, or add a "
            "member first"
        )
    if live.leader not in chosen:
        return ""
    heirs = [m for m in rest if not m.nofailover and m.name in world.answering]
    if not heirs:
        raise RemovalRefused(
            f"{live.leader} leads {live.name}, and none of those that stay could take over"
        )
    if live.name not in world.topology.pg_clusters:
        raise RemovalRefused(
            f"{live.leader} leads {live.name}, and the lead of a cluster that the inventory "
            "doesn't have can't be handed over: bring the cluster back there, or remove all of it"
        )
    if not wish.switchover:
        raise RemovalRefused(
            f"{live.leader} leads {live.name} while others live: hand the lead over first with "
            f"`pigsty pgsql switchover {live.name}`, or say --switchover"
        )
    return live.leader


def _backups(world: World, members: Sequence[Going], wish: Wish) -> bool:
    """Return whether the backups go with the cluster: where the inventory or a person says so."""
    cluster = world.topology.pg_clusters.get(world.live.name)
    said: list[bool] = []
    if (
        cluster is not None
        and "pg_rm_backup" in (cluster.primary or cluster.members[0]).node.declared
    ):
        said = [bool(cluster.vars["pg_rm_backup"])]
    elif cluster is None:
        traces = (world.traces.get(member.host) for member in members)
        said = [t.remove_backup for t in traces if t is not None and t.remove_backup is not None]
    if wish.backups and said and not all(said):
        raise RemovalRefused(
            f"the backups of {world.live.name} are protected by `pg_rm_backup: false`"
        )
    return wish.backups or (bool(said) and all(said))


def _no_backups(world: World, wish: Wish) -> bool:
    if wish.backups:
        raise RemovalRefused(
            f"members of {world.live.name} live on, and so do its backups: --backups is for the "
            "whole cluster"
        )
    return False


def _sentences(world: World, plan: Plan) -> tuple[str, ...]:
    """Return what will be done, step by step."""
    found: list[str] = []
    if plan.handover:
        found.append(f"{plan.handover} hands the lead over")
    if plan.peers:
        found.append(f"{', '.join(plan.peers)} are told: services, HBA rules, hosts")
    for member in plan.members:
        if not member.there:
            found.append(f"{member.name} has left nothing on {member.host or 'any machine'}"
                         if member.host not in world.silent
                         else f"{member.name} on {member.host} is taken for dead")  # fmt: skip
            continue
        data = "deleted" if member.data else "kept (pg_rm_data)"
        packages = "; its packages are removed" if member.packages else ""
        found.append(f"{member.name} on {member.host} is stopped, its data are {data}{packages}")
    if plan.whole:
        found.append(f"the keys below {world.live.prefix} are deleted")
        kept = "kept (a new cluster of this name can't use their stanza: move it away before)"
        found.append(f"the backups are {'DELETED' if plan.backups else kept}")
        return tuple(found)
    left = [m for m in world.live.members if m.name not in {g.name for g in plan.members}]
    heirs = [m for m in left if m.name != world.live.leader and not m.nofailover]
    if plan.handover:
        heirs = heirs[1:]
    if not heirs:
        found.append("afterwards NO other member could take over from the leader")
    followers = [m.name for m in left if m.upstream in {g.name for g in plan.members}]
    if followers:
        found.append(f"{', '.join(followers)} will follow the leader itself")
    return tuple(found)


def _address(word: str) -> bool:
    return word.replace(".", "").isdigit() or ":" in word
