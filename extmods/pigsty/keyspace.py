"""Which store a PostgreSQL cluster's keys are in, and where there."""

from __future__ import annotations

from typing import Literal

from pigsty.topology import PgCluster, Topology

Kind = Literal["etcd", "consul"]
#: The stores that there are, as ``pg_dcs_type`` names them.
KINDS: tuple[Kind, ...] = ("etcd", "consul")


def kind(cluster: PgCluster) -> Kind:
    """Return the store that a cluster's members agree in."""
    return "consul" if cluster.vars["pg_dcs_type"] == "consul" else "etcd"


def clusters(topology: Topology, store: Kind) -> tuple[PgCluster, ...]:
    """Return the clusters of one store, by name."""
    found = sorted(topology.pg_clusters.items())
    return tuple(cluster for _name, cluster in found if kind(cluster) == store)


def namespace(cluster: PgCluster) -> str:
    """Return Patroni's namespace of a cluster without the slash at its end, for example ``/pg``."""
    return "/" + str(cluster.vars["pg_namespace"] or "/pg").strip("/")


def watched(topology: Topology, store: Kind = "etcd") -> str:
    """Return the part of a store's key space that is watched: Patroni's namespace.

    With several namespaces it is what they have in common, at most everything.
    """
    spaces = {f"{namespace(cluster)}/" for cluster in clusters(topology, store)} or {"/pg/"}
    return spaces.pop() if len(spaces) == 1 else "/"
