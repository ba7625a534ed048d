"""Passwords of a cluster's system users in plain text: one rule for all who need them.

Patroni, the exporters and the SQL objects must agree on them, so they all ask here. A password that
the inventory leaves open is derived from the deployment's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pigsty import sharding

if TYPE_CHECKING:
    from pigsty.pillar.site import Site
    from pigsty.topology import Topology

#: Empty means "no password" for these (their login is by the system's user), not "derive one";
#: but the servers of a Citus cluster log in to each other over the network.
OPTIONAL = frozenset({"pg_dbsu_password"})


def password(topology: Topology, cluster: str, site: Site, param: str) -> str:
    """Return the plain password behind a parameter, for one cluster.

    Args:
        topology: the deployment.
        cluster: name of the PostgreSQL cluster.
        site: the deployment's key.
        param: ``pg_replication_password``, ``pg_admin_password``, ``pg_monitor_password`` or
            ``pg_dbsu_password``.

    Returns:
        What the inventory declares; else the derived one; "" only for an optional one left empty.
    """
    declared = topology.pg_clusters[cluster].vars.get(param)
    if declared:
        return str(declared)
    if param in OPTIONAL and sharding.group(topology.pg_clusters[cluster]) is None:
        return ""
    return site.secret(source(topology, cluster), param)


def source(topology: Topology, cluster: str) -> str:
    """Return the cluster whose roles this one has: itself, or a standby cluster's upstream.

    The groups of a Citus cluster have the same ones, by the name of the shard. A standby cluster
    replicates ``pg_authid`` too, so a password derived from its own name would not be the one that
    its server knows.
    """
    seen = {cluster}
    while True:
        primary = topology.pg_clusters[cluster].primary
        address = str(primary.vars.get("pg_upstream") or "") if primary else ""
        upstream = topology.pg_instances.get(address)
        if upstream is None or upstream.cluster in seen:
            group = sharding.group(topology.pg_clusters[cluster])
            return group.shard if group else cluster
        cluster = upstream.cluster
        seen.add(cluster)
