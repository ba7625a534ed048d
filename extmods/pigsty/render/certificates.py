"""Which leaf certificates a node may have, and what each of them says.

A role is the module that uses the certificate. No leaf has a common name. etcd takes that of a
client's certificate for a user name when the client sends no token, so one called ``root`` would be
root; and with its users enabled it refuses every HTTP request under a certificate that has one,
which is how Patroni speaks to it. Without, a certificate opens the connection, and only the
password gives rights. Servers are known by their alternative names anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_interface
from typing import Any

from pigsty.pki import Leaf
from pigsty.topology import Node, Topology

#: Lifetime of a leaf when the inventory declares none: renewal is part of every apply.
DAYS = 365


@dataclass(frozen=True, slots=True)
class Place:
    """Where a role's files are.

    Attributes:
        certificate: the leaf.
        authorities: the CAs that the role's daemons trust.
    """

    certificate: str
    authorities: str


#: The CAs that every node trusts.
CA = "/etc/pki/ca.crt"
#: The certificates that states make, by role; the module of that name has the daemons.
PLACES: Mapping[str, Place] = {
    "etcd": Place("/etc/etcd/server.crt", "/etc/etcd/ca.crt"),
    "infra": Place("/etc/pki/infra.crt", CA),
    "node": Place("/etc/pki/node.crt", CA),
    "pgsql": Place("/pg/cert/server.crt", "/pg/cert/ca.crt"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A daemon that shows a certificate; ``postgres``: it speaks PostgreSQL's protocol."""

    name: str
    host: str
    port: int
    postgres: bool = False


def endpoints(pigsty: Mapping[str, Any], role: str) -> list[Endpoint]:
    """Return the daemons of a node that show a role's certificate.

    Args:
        pigsty: the node's pillar.
        role: a key of :data:`PLACES`.
    """
    data = pigsty.get(role)
    # A node's own certificate is shown by clients only.
    if not data or role == "node":
        return []
    if role == "etcd":
        return [Endpoint("etcd", data["ip"], int(data["port"]))]
    if role == "infra":
        web = data["nginx"]
        served = data["repo"]["enabled"] and web["sslmode"] != "disable"
        return [Endpoint("nginx", "127.0.0.1", int(web["ssl_port"]))] if served else []
    params, ip = data["params"], data["ip"]
    found = [Endpoint("postgres", ip, int(params["pg_port"]), postgres=True)]
    if params["patroni_ssl_enabled"]:
        found.append(Endpoint("patroni", ip, int(params["patroni_port"])))
    if params["pgbouncer_enabled"] and "client_tls_key_file" in data["pgbouncer"]["ini"]:
        found.append(Endpoint("pgbouncer", ip, int(params["pgbouncer_port"]), postgres=True))
    return found


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_INTERVAL = re.compile(r"(\d+)\s*([smhdwy]?)\Z")
#: What may stand in a certificate as a DNS name.
_DNS = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\Z")


def leaves(topology: Topology, node: Node) -> dict[str, Leaf]:
    """Return the certificates that a node may have, by role, in the order of their names.

    Args:
        topology: the deployment.
        node: one of its nodes.

    Returns:
        ``node`` for every node; ``pgsql``, ``etcd`` and ``infra`` where the node has that module.
    """
    days = lifetime(node)
    # By this name infra nodes know whose logs come: see pigsty.render.logs.
    found = {"node": _leaf(node, node.ip, "node", days, [])}
    member = topology.pg_instances.get(node.ip)
    if member is not None:
        suffix = str(node.vars.get("pg_dns_suffix") or "")
        names = [member.name, member.cluster, f"{member.name}{suffix}", f"{member.cluster}{suffix}"]
        if node.vars.get("pg_vip_enabled"):
            names.append(str(node.vars.get("pg_vip_address") or ""))
        if node.vars.get("vip_enabled"):
            names.append(str(node.vars.get("vip_address") or ""))
        found["pgsql"] = _leaf(node, member.name, "pgsql", days, names)
    for etcd in topology.etcd:
        if etcd.ip == node.ip:
            found["etcd"] = _leaf(node, etcd.name, "etcd", days, [etcd.name])
    for infra in topology.infra:
        if infra.ip == node.ip:
            names = [infra.name, topology.admin_ip, *_portal(node.vars.get("infra_portal"))]
            found["infra"] = _leaf(node, infra.name, "infra", days, names)
    return dict(sorted(found.items()))


def grants(topology: Topology) -> dict[str, str]:
    """Return what the CA may sign for whom, by minion id, for :func:`grant` to read.

    Each value is a text: with thousands of nodes, one entry is read of all that are carried.
    """
    return {
        ip: json.dumps({role: leaf.to_dict() for role, leaf in leaves(topology, node).items()})
        for ip, node in sorted(topology.nodes.items())
    }


def grant(given: Mapping[str, str], minion: str, role: str) -> Leaf | None:
    """Return the certificate that a minion may have for a role, or None when it may not."""
    roles = json.loads(given.get(minion, "{}"))
    return Leaf.from_dict(roles[role]) if role in roles else None


def lifetime(node: Node) -> int:
    """Return the lifetime of a node's leaves in days, at least one: ``cert_validity`` where it is
    declared, else :data:`DAYS`.
    """
    if "cert_validity" not in node.declared:
        return DAYS
    match = _INTERVAL.match(str(node.vars.get("cert_validity", "")).strip())
    if match is None:
        return DAYS
    return max(1, int(match[1]) * _SECONDS[match[2] or "d"] // _SECONDS["d"])


def _leaf(node: Node, name: str, role: str, days: int, names: Iterable[str]) -> Leaf:
    """Return a leaf with its own names, the node's, and those of the loopback."""
    dns: set[str] = set()
    ips: set[str] = set()
    for text in (*names, name, node.name, node.ip, "localhost", "127.0.0.1"):
        address = _address(text)
        if address:
            ips.add(address)
        elif _DNS.match(text):
            dns.add(text)
    return Leaf(f"{name}.{role}", tuple(sorted(dns)), tuple(sorted(ips)), days)


@lru_cache(maxsize=65536)  # the admin node asks for every node's names at each run
def _address(text: str) -> str | None:
    """Return the address in a text such as ``10.10.10.3/24``, or None when it holds none."""
    try:
        return str(ip_interface(text).ip if "/" in text else ip_address(text))
    except ValueError:
        return None


def _portal(portal: Any) -> list[str]:
    """Return the domains that the portal serves."""
    names: list[str] = []
    for server in portal.values() if isinstance(portal, dict) else ():
        if not isinstance(server, dict):
            continue
        more = server.get("domains") or []
        names += [str(server.get("domain") or "")]
        names += [str(name) for name in (more if isinstance(more, list) else [more])]
    return names
