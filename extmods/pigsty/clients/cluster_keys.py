"""A cluster's keys in its store: looked at, and deleted once nobody lives behind them.

The same for etcd and for Consul. Whoever calls brings a store that may write, and the prefix that
is the cluster's own: nothing outside of it is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pigsty import dcs
from pigsty.clients.consul import Address, ConsulStore
from pigsty.clients.etcd import Etcd
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Store
from pigsty.deadlines import wait_until
from pigsty.errors import ClientError


class Inhabited(ClientError):
    """Somebody lives in the cluster: its keys stay."""


def look(store: Store, cluster: str, prefix: str) -> dcs.Cluster:
    """Return a cluster as its keys show it; one without any doesn't exist.

    Args:
        store: where they are.
        cluster: its name.
        prefix: of its keys, with a slash at the end.

    Raises:
        ClientError: the store doesn't answer, or refuses.
    """
    pairs = store.read(prefix).pairs
    return dcs.parse(cluster, prefix, {key.removeprefix(prefix): value for key, value in pairs})


def forget(
    store: Store, cluster: str, prefix: str, members: Sequence[str], *, whole: bool = False
) -> None:
    """Delete the keys of members that were removed, or of the whole cluster once it is down.

    Args:
        store: where they are.
        cluster: its name.
        prefix: of its keys, with a slash at the end.
        members: names of the members that were removed.
        whole: nothing of the cluster is left.

    Raises:
        Inhabited: somebody else lives in the cluster; nothing was deleted.
        DeadlineExceeded: a leader that went without a goodbye holds its key still.
        ClientError: the store doesn't answer, or refuses.
    """
    if whole:
        # One that was cut off without a goodbye holds its key until that expires.
        wait_until(
            lambda: _leaderless(look(store, cluster, prefix), members),
            "removal.leaderless",
            f"the leader key of {cluster} is free",
        )
        store.delete(prefix)
        return
    if look(store, cluster, prefix).leader in members:
        raise Inhabited(f"{cluster} is led by a member that was to be removed")
    for name in members:
        store.delete(f"{prefix}{dcs.MEMBERS}{name}")


def forget_leader(store: Store, prefix: str) -> None:
    """Delete what Patroni knows of the last leader; the configuration stays.

    Args:
        store: where the keys are.
        prefix: of the cluster's keys, with a slash at the end.

    Raises:
        ClientError: the store doesn't answer, or refuses.
    """
    for key in dcs.LEADERSHIP:
        store.delete(f"{prefix}{key}")


def own(spec: Mapping[str, Any]) -> tuple[Store, str]:
    """Return the store of a member with the rights of its cluster, and the prefix of its keys.

    Args:
        spec: the member's pillar, ``pigsty:pgsql``.
    """
    patroni, folder = spec["patroni"], spec["certificates"]
    prefix = f"{patroni['namespace']}{patroni['path']}/"
    if consul := patroni["consul"]:
        return ConsulStore(Address(consul["url"], consul["token"], consul["ca"])), prefix
    files = (f"{folder}/ca.crt", f"{folder}/server.crt", f"{folder}/server.key")
    addresses = (address.rpartition(":") for address in patroni["etcd"])
    members = [Etcd(host, int(port), *files) for host, _, port in addresses]
    return EtcdStore(members, patroni["etcd_username"], patroni["etcd_password"]), prefix


def _leaderless(found: dcs.Cluster, members: Sequence[str]) -> bool:
    others = {member.name for member in found.members} - set(members)
    if others:
        raise Inhabited(f"{', '.join(sorted(others))} of {found.name} lives: its keys stay")
    return not found.leader
