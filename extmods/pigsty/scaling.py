"""Growing a PostgreSQL cluster: who is new, what stands against it, and who has to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pigsty.dcs import Cluster
from pigsty.errors import PigstyError
from pigsty.render import services
from pigsty.targets import Job, TargetError, nearest
from pigsty.topology import PgCluster, PgInstance, Topology

#: What a member has to know of its peers, besides where its services lead: their names, and whom to
#: let in (the HBA alias `cluster`, and Patroni's REST API).
PEERS = ("node.hosts", "pgsql.hba", "pgsql.pgbouncer", "pgsql.patroni")
#: The packet filter, where it is ours: peers outside of the intranet are trusted by address.
FILTER = "node.firewall"
#: A cluster's services in HAProxy: on its members, or on the group that carries them.
SERVICES, PROVIDER = "pgsql.service", "node.haproxy"
#: What infra nodes watch, show and answer for.
WATCHER = "infra"


class ScalingRefused(PigstyError):
    """The cluster can't grow now: nothing was changed."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Growth:
    """What adding members does.

    Attributes:
        cluster: which cluster.
        fresh: it doesn't exist yet: these are its first members.
        members: who is added.
        peers: the others.
        sentences: what will be done, for a person.
    """

    cluster: PgCluster
    fresh: bool
    members: tuple[PgInstance, ...]
    peers: tuple[PgInstance, ...]
    sentences: tuple[str, ...]


def growth(topology: Topology, name: str, live: Cluster, words: Sequence[str]) -> Growth:
    """Decide who is added to a cluster.

    Args:
        topology: the inventory, which has the new members already.
        name: the cluster.
        live: the cluster in the DCS.
        words: addresses or names of members; none for all that don't live yet.

    Returns:
        The growth; without members when all of them live.

    Raises:
        TargetError: there is no such cluster or member.
        ScalingRefused: it is paused, or has no leader to copy from.
    """
    if name not in topology.pg_clusters:
        raise TargetError(nearest(name, topology.pg_clusters, "cluster"))
    cluster = topology.pg_clusters[name]
    alive = {member.name for member in live.members}
    chosen = [_member(topology, cluster, word) for word in dict.fromkeys(words)]
    new = tuple(m for m in cluster.members if m in chosen or (not words and m.name not in alive))
    peers = tuple(member for member in cluster.members if member not in new)
    # Keys without anybody behind them are what a crash of all leaves: that is for a person to see.
    fresh = not live.exists
    if new and not fresh:
        _joinable(live)
    if new and fresh and cluster.primary not in new:
        who = cluster.primary.name if cluster.primary else "its primary"
        raise ScalingRefused(f"{name} doesn't live yet: {who} has to be among its first members")
    return Growth(cluster, fresh, new, peers, _sentences(topology, new, fresh=fresh))


def first(topology: Topology, growth: Growth) -> tuple[Job, ...]:
    """Return what runs at the same time: new members are made, peers let them in."""
    work = [Job(tuple(m.ip for m in growth.members), ("node", "pgsql", "node.monitor"))]
    return (*work, *letting_in(growth.peers))


def letting_in(peers: Sequence[PgInstance]) -> tuple[Job, ...]:
    """Return what tells peers whom they have, by the inventory of now."""
    zoned = tuple(m.ip for m in peers if m.vars["node_firewall_mode"] == "zone")
    plain = tuple(m.ip for m in peers if m.ip not in zoned)
    jobs = (Job(plain, PEERS), Job(zoned, (FILTER, *PEERS)))
    return tuple(job for job in jobs if job.hosts)


def routing(topology: Topology, cluster: PgCluster, hosts: Sequence[str]) -> tuple[Job, ...]:
    """Return what makes a cluster's services lead to its members of now.

    Args:
        topology: the inventory.
        cluster: one of its clusters.
        hosts: members whose HAProxy carries the services, unless others do.
    """
    carriers = services.providers(topology, cluster)
    job = Job(carriers, (PROVIDER,)) if carriers else Job(tuple(hosts), (SERVICES,))
    return (job,) if job.hosts else ()


def watching(topology: Topology) -> tuple[Job, ...]:
    """Return what makes the infra nodes watch who is declared now, and nobody else."""
    hosts = tuple(infra.ip for infra in topology.infra)
    return (Job(hosts, (WATCHER,)),) if hosts else ()


def _member(topology: Topology, cluster: PgCluster, word: str) -> PgInstance:
    for member in cluster.members:
        if word in (member.name, member.ip):
            return member
    every = {m.name: m for m in topology.pg_instances.values()} | dict(topology.pg_instances)
    if word in every:
        raise TargetError(f"{word} is a member of {every[word].cluster}, not of {cluster.name}")
    if word in topology.nodes:
        raise TargetError(
            f"{word} is no member of {cluster.name}: give it pg_seq and pg_role there"
        )
    known = [text for m in cluster.members for text in (m.name, m.ip)]
    raise TargetError(nearest(word, known, f"member of {cluster.name}"))


def _joinable(live: Cluster) -> None:
    if live.paused:
        raise ScalingRefused(
            f"{live.name} is paused: Patroni makes no replica meanwhile. End it first "
            f"(pigsty pgsql resume {live.name})"
        )
    if not live.leader:
        raise ScalingRefused(
            f"{live.name} has no leader to copy from: `pigsty pgsql list {live.name}` shows its "
            "members"
        )


def _sentences(
    topology: Topology, members: Sequence[PgInstance], *, fresh: bool
) -> tuple[str, ...]:
    found = []
    for member in members:
        upstream = topology.pg_instances.get(str(member.vars["pg_upstream"] or ""))
        if fresh and member.role == "primary":
            copy = f", a copy of {upstream.cluster} that follows it" if upstream else ""
            found.append(f"{member.name} on {member.ip} makes the cluster{copy}")
            continue
        source = f"follows {upstream.name}" if upstream else "follows the leader"
        aside = " (it is never to lead)" if member.role in ("offline", "delayed") else ""
        found.append(f"{member.name} on {member.ip} copies the data and {source}{aside}")
    return tuple(found)
