"""The names that infra nodes answer for, for ``pigsty:infra:dns``, and whom a node asks.

``enabled``, ``port``, ``listen``
    of dnsmasq.
``records``
    hosts files by name: those of the inventory, of instances, and of names with a fixed target.
``clusters``
    clusters whose name leads to who leads now, by the name of their file: ``names``, ``members``
    (address by instance), ``primary`` (the declared one), ``port`` and ``tls`` of Patroni.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.render import dns as render
from pigsty.render.files import text
from pigsty.topology import Node, PgCluster, Topology


def pillar(topology: Topology, node: Node) -> dict[str, Any]:
    """Return what an infra node's dnsmasq is, without its records, which are the same for all.

    Args:
        topology: the deployment.
        node: the infra node.
    """
    values = node.vars
    floating = [str(values["vip_address"])] if values["vip_enabled"] else []
    return {
        "enabled": bool(values["dns_enabled"]),
        "listen": [node.ip, *floating],
        "port": values["dns_port"],
    }


def names(topology: Topology) -> dict[str, Any]:
    """Return ``records`` and ``clusters`` of a deployment."""
    records = {"default": text(*(topology.nodes[topology.admin_ip].vars["dns_records"] or ()))}
    clusters: dict[str, Any] = {}
    for node in topology.nodes.values():
        if node.vars["vip_enabled"]:
            name = f"{node.cluster}{node.vars['vip_dns_suffix']}"
            records[f"{node.cluster}.vip"] = render.record(str(node.vars["vip_address"]), [name])
    for cluster in topology.pg_clusters.values():
        for member in cluster.members:
            records[member.name] = render.record(member.ip, _names(member.name, cluster))
        address = _fixed(cluster)
        if address is None:
            clusters[cluster.name] = _followed(cluster)
        elif address:
            records[cluster.name] = render.record(address, _names(cluster.name, cluster))
    return {"clusters": clusters, "records": records}


def servers(topology: Topology, node: Node) -> dict[str, Any]:
    """Return how a node's resolver is set up.

    Args:
        topology: the deployment.
        node: the node.

    Returns:
        ``method``, ``servers``, ``options``, and ``withheld``: servers of ours that don't serve.
    """
    method = str(node.vars["node_dns_method"])
    asked = list(node.vars["node_dns_servers"] or ()) if method != "none" else []
    infra = {member.ip: member.node for member in topology.infra}
    silent = {ip for ip, member in infra.items() if not serves(member)}
    if topology.admin_ip not in infra:
        silent.add(topology.admin_ip)
    found = [server for server in asked if server not in silent]
    if node.ip in infra and serves(node):
        # It asks itself. What it doesn't know, it asks the machine's servers: two that ask each
        # other would go round in circles.
        found = list(dict.fromkeys(node.ip if server in infra else server for server in found))
        if found == [node.ip] and method == "overwrite":
            method = "add"
    return {
        # Without a server of ours, neither "add" nor "overwrite" has anything to say.
        "method": method if found else "none",
        "options": list(node.vars["node_dns_options"] or ()),
        "servers": found,
        "withheld": [server for server in asked if server in silent],
    }


def serves(node: Node) -> bool:
    """Return whether an infra node answers where resolvers ask."""
    return bool(node.vars["dns_enabled"]) and node.vars["dns_port"] == render.PORT


def _fixed(cluster: PgCluster) -> str | None:
    """Return where a cluster's name always leads to: "" for nowhere, None for the leader."""
    values = cluster.vars
    wanted = str(values["pg_dns_target"] or "auto")
    floating = ""
    if values["pg_vip_enabled"]:
        floating = str(values["pg_vip_address"] or "").split("/")[0]
    if wanted == "auto":
        return floating or None
    if wanted == "primary":
        return None
    if wanted in ("vip", "none"):
        return floating if wanted == "vip" else ""
    return wanted


def _followed(cluster: PgCluster) -> Mapping[str, Any]:
    values, primary = cluster.vars, cluster.primary
    return {
        "members": {member.name: member.ip for member in cluster.members},
        "names": _names(cluster.name, cluster),
        "port": values["patroni_port"],
        "primary": primary.name if primary else "",
        "tls": bool(values["patroni_ssl_enabled"]),
    }


def _names(name: str, cluster: PgCluster) -> list[str]:
    """Return the names of a cluster or an instance: with its suffix, and without."""
    return list(dict.fromkeys([f"{name}{cluster.vars['pg_dns_suffix'] or ''}", name]))
