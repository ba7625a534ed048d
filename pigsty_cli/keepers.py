"""Who looks at a cluster's keys for a command, and deletes them: the way to each store.

In etcd a member of it does, as the store's root. Consul runs on machines that may not be ours, so
the admin node asks the agent itself, with the token of the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pigsty import dcs, keyspace, sharding
from pigsty.clients import cluster_keys
from pigsty.clients.consul import ConsulStore
from pigsty.clients.stores import consul_address
from pigsty.errors import ClientError
from pigsty.topology import PgCluster, Topology
from pigsty_cli import progress, remote
from pigsty_cli.errors import CliError, Refused


class Keeper(Protocol):
    """The keys of one cluster."""

    def look(self) -> dcs.Cluster:
        """Return the cluster as its keys show it.

        Raises:
            Refused: the store can't be asked.
        """

    def forget(self, members: Sequence[str], *, whole: bool) -> None:
        """Delete the keys of members that were removed, or (whole) all of the cluster's.

        Raises:
            CliError: somebody else lives in the cluster, or the store doesn't answer.
        """


def of(master: Any, topology: Topology, cluster: str) -> Keeper:
    """Return who keeps a cluster's keys.

    Args:
        master: the Salt master.
        topology: the inventory.
        cluster: its name; one that the inventory has forgotten is looked for in etcd.
    """
    declared = topology.pg_clusters.get(cluster)
    if declared is not None and keyspace.kind(declared) == "consul":
        return InConsul(topology, declared)
    return InEtcd(master, topology, cluster)


class InEtcd:
    """Keys in etcd, by the minion of a member that is healthy.

    Args:
        master: the Salt master.
        topology: the inventory.
        cluster: the cluster's name.
    """

    def __init__(self, master: Any, topology: Topology, cluster: str) -> None:
        self._master, self._topology, self._cluster = master, topology, cluster
        self._host = ""

    def look(self) -> dcs.Cluster:
        """See :meth:`Keeper.look`."""
        reasons = []
        for member in self._topology.etcd:
            try:
                remote.refresh(self._master, member.ip)
                found = remote.call(
                    self._master,
                    member.ip,
                    "pigsty_dcs.look",
                    words_of(self._topology, self._cluster),
                    deadline="etcd.request",
                )
            except CliError as error:
                reasons.append(str(error))
                continue
            self._host = member.ip
            return dcs.Cluster.from_dict(found)
        why = "; ".join(reasons) or (
            "the inventory has none, and one that was made in Consul has to stand in it"
        )
        raise Refused(f"no member of etcd can be asked who lives in {self._cluster}: {why}")

    def forget(self, members: Sequence[str], *, whole: bool) -> None:
        """See :meth:`Keeper.forget`; the member that answered last is asked."""
        words = {
            **words_of(self._topology, self._cluster),
            "members": list(members),
            "whole": whole,
        }
        with progress.waiting(f"the store forgets what left {self._cluster}", self._host) as screen:
            remote.call(
                self._master,
                self._host,
                "pigsty_dcs.forget",
                words,
                deadline="removal.leaderless",
                screen=screen,
            )


class InConsul:
    """Keys in Consul, by the agent that this machine reaches.

    Args:
        topology: the inventory.
        cluster: the cluster.
    """

    def __init__(self, topology: Topology, cluster: PgCluster) -> None:
        self._cluster = cluster
        self._prefix = f"{keyspace.namespace(cluster)}/{sharding.path(cluster)}/"
        token = str(cluster.vars["pg_consul_token"] or "")
        self._store = ConsulStore(consul_address(topology, token))

    def look(self) -> dcs.Cluster:
        """See :meth:`Keeper.look`."""
        name = self._cluster.name
        try:
            self._store.prove(self._prefix)
            return cluster_keys.look(self._store, name, self._prefix)
        except ClientError as error:
            raise Refused(f"who lives in {name} can't be asked: {error}") from error

    def forget(self, members: Sequence[str], *, whole: bool) -> None:
        """See :meth:`Keeper.forget`."""
        try:
            cluster_keys.forget(self._store, self._cluster.name, self._prefix, members, whole=whole)
        except ClientError as error:
            raise CliError(str(error)) from error


def words_of(topology: Topology, cluster: str) -> dict[str, str]:
    """Return what `pigsty_dcs` is told about a cluster: its name, and its path if it is another."""
    declared = topology.pg_clusters.get(cluster)
    path = sharding.path(declared) if declared else cluster
    return {"cluster": cluster} | ({"path": path} if path != cluster else {})
