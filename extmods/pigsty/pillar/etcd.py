"""The pillar of etcd members: the member, its peers, and who may do what in the store.

The passwords here are those of the store itself (root, and one user for each PostgreSQL cluster);
nobody but the members gets them from here.
"""

from __future__ import annotations

from typing import Any

from pigsty import keyspace, sharding
from pigsty.pillar.pgsql import etcd_password
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.topology import Node, PgCluster, Topology


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return ``pigsty:etcd`` of one member.

    Args:
        topology: the deployment.
        node: the member's node.
        site: the deployment's key and CA.
        platform: the node's operating system.

    Returns:
        ``cluster``, ``name``, ``ip``, ``data``, ``port``, ``peer_port``, ``heartbeat`` and
        ``election`` (milliseconds), ``init``, ``learner``; ``members`` (name, ip, port and
        peer_port, by seq); ``root_password``; ``users`` (name, password and prefix of each
        PostgreSQL cluster; the groups of a Citus cluster are one); ``packages`` and ``platform``.
    """
    values = node.vars
    member = next(etcd for etcd in topology.etcd if etcd.ip == node.ip)
    declared = values["etcd_root_password"]
    data = platform.modules["etcd"]
    return {
        "cluster": member.cluster,
        "data": str(values["etcd_data"]),
        "election": values["etcd_election_timeout"],
        "heartbeat": values["etcd_heartbeat_interval"],
        "init": values["etcd_init"],
        "ip": member.ip,
        "learner": bool(values["etcd_learner"]),
        "members": [
            {
                "ip": etcd.ip,
                "name": etcd.name,
                "peer_port": etcd.node.vars["etcd_peer_port"],
                "port": etcd.node.vars["etcd_port"],
            }
            for etcd in topology.etcd
        ],
        "name": member.name,
        "packages": list(data["install"]),
        "peer_port": values["etcd_peer_port"],
        "platform": {key: data[key] for key in ("conf", "unit", "user")},
        "port": values["etcd_port"],
        "root_password": str(declared) if declared else site.secret("all", "etcd_root_password"),
        "users": _users(topology, site),
    }


#: The user as whom the admin node watches the clusters. No cluster can be called so: a name of a
#: cluster holds no underscore.
WATCHER = "pigsty_watch"


def _users(topology: Topology, site: Site) -> list[dict[str, str]]:
    """Return a user for each scope, and the one that watches them all.

    Citus' coordinator looks at the keys of every group, so the groups of a shard have one user.
    """
    scopes: dict[str, PgCluster] = {}
    for cluster in keyspace.clusters(topology, "etcd"):
        scopes.setdefault(sharding.scope(cluster), cluster)
    users = [
        {
            "name": name,
            "password": etcd_password(cluster, site),
            "prefix": prefix(cluster),
            "right": "READWRITE",
        }
        for name, cluster in sorted(scopes.items())
    ]
    watcher = {
        "name": WATCHER,
        "password": watcher_password(site),
        "prefix": keyspace.watched(topology),
        "right": "READ",
    }
    return [*users, watcher]


def watcher_password(site: Site) -> str:
    """Return the watching user's password."""
    return site.secret("all", "etcd_watch_password")


def prefix(cluster: PgCluster) -> str:
    """Return the part of the key space that is a PostgreSQL cluster's own, ``/pg/<cluster>/``.

    The groups of a Citus cluster have theirs together: ``/pg/<shard>/``.
    """
    return f"{keyspace.namespace(cluster)}/{sharding.scope(cluster)}/"
