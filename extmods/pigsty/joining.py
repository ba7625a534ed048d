"""Whom it concerns that a machine comes or goes, by the inventory of now."""

from __future__ import annotations

from collections.abc import Mapping

from pigsty.render import services
from pigsty.topology import Topology


def concerned(topology: Topology, host: str) -> Mapping[str, tuple[str, ...]]:
    """Return the hosts that have to know of a machine of the inventory, by what it is to them.

    Args:
        topology: the inventory.
        host: the machine.

    Returns:
        ``peers``: members of its PostgreSQL cluster, ``zoned`` those whose packet filter names them
        one by one; ``carriers``: others that carry its cluster's services; ``stores``: members of
        etcd, which make the cluster's user; ``clients``: members of all PostgreSQL clusters when
        it is one of etcd; ``named``: whoever else has its name in /etc/hosts. The machine itself
        is in none.
    """
    found: dict[str, tuple[str, ...]] = {}
    instance = topology.pg_instances.get(host)
    if instance is not None:
        cluster = topology.pg_clusters[instance.cluster]
        peers = tuple(member for member in cluster.members if member.ip != host)
        found["peers"] = tuple(m.ip for m in peers if m.vars["node_firewall_mode"] != "zone")
        found["zoned"] = tuple(m.ip for m in peers if m.vars["node_firewall_mode"] == "zone")
        found["carriers"] = services.providers(topology, cluster)
        found["stores"] = tuple(member.ip for member in topology.etcd)
    central = {m.ip for m in topology.etcd} | {infra.ip for infra in topology.infra}
    if any(member.ip == host for member in topology.etcd):
        found["clients"] = tuple(topology.pg_instances)
    known = {*found.get("peers", ()), *found.get("zoned", ()), *found.get("clients", ())}
    found["named"] = tuple(
        ip
        for ip, node in topology.nodes.items()
        if ip not in known and (host in central or node.vars["nodename_exchange"])
    )
    return {
        where: tuple(ip for ip in dict.fromkeys(hosts) if ip != host)
        for where, hosts in found.items()
    }
