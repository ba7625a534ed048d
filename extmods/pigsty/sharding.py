"""Citus: PostgreSQL clusters that are groups of one sharded cluster, and what they share.

Each group is a cluster of its own for Patroni: it elects its own leader, has its own services,
stanza and certificate. Patroni's coordinator looks at the keys of all groups, and Citus connects
every machine with every other. So the groups have one scope in the DCS, which is the shard's name,
one way into it, and the same passwords of what their servers and their REST APIs are asked by.
"""

from __future__ import annotations

from dataclasses import dataclass

from pigsty.topology import PgCluster, Topology

#: ``pg_mode`` of a group.
MODE = "citus"
#: The group that clients connect to.
COORDINATOR = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A cluster's place in a sharded one.

    Attributes:
        shard: name of the sharded cluster.
        number: which of its groups.
        database: the one that is sharded.
    """

    shard: str
    number: int
    database: str


def group(cluster: PgCluster) -> Group | None:
    """Return a cluster's place in a sharded one; None for a cluster by itself."""
    params = cluster.vars
    if params.get("pg_mode") != MODE:
        return None
    shard, number = params.get("pg_shard"), params.get("pg_group")
    return Group(
        shard=str(shard or cluster.name),
        number=number if isinstance(number, int) else COORDINATOR,
        database=str(params.get("pg_primary_db") or "postgres"),
    )


def scope(cluster: PgCluster) -> str:
    """Return the name under which Patroni knows a cluster; also its user in etcd, and whose its
    shared passwords are.
    """
    own = group(cluster)
    return own.shard if own else cluster.name


def path(cluster: PgCluster) -> str:
    """Return where a cluster's keys are, below the namespace: ``pg-test``, or ``pg-citus/1``."""
    own = group(cluster)
    return f"{own.shard}/{own.number}" if own else cluster.name


def together(topology: Topology, cluster: PgCluster) -> tuple[PgCluster, ...]:
    """Return all groups of a cluster's shard by their numbers; a cluster by itself is alone."""
    own = group(cluster)
    if own is None:
        return (cluster,)
    found: dict[tuple[int, str], PgCluster] = {}
    for other in topology.pg_clusters.values():
        at = group(other)
        if at is not None and at.shard == own.shard:
            found[at.number, other.name] = other
    return tuple(found[key] for key in sorted(found))
