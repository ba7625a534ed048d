"""The pillar of the module NODE, which every minion has.

Parameters stand under their own names where the states use them as they are. Decided here:

========== ==========================================================================
name       what
========== ==========================================================================
nodename   the node's name, empty to keep what the machine has
cluster    the node's cluster
hosts      lines for /etc/hosts, or None where the file is not ours to write
dns        ``method``, ``servers``, ``options``; ``withheld``: servers that don't serve yet
packages   names of the distribution's packages
trust      where the CA's certificate goes on this system
admin      the admin user: ``name``, ``uid``, ``sudo``, ``keys``, and its key pair (a secret)
ntp        ``conf``, ``unit`` and the ``text`` of chrony's configuration; None without NTP
crontab    ``lines``, ``overwrite``, and the ``stock`` lines of the system
firewall   ``mode``, and the ``rules`` of the mode ``zone``
vip        the floating address of keepalived (with its password, a secret); None without
logs       what is sent to the infra nodes, see :mod:`pigsty.pillar.logs`
monitor    what publishes the node's metrics, see :mod:`pigsty.pillar.monitor`
haproxy    ``enabled``, the main file's text (it holds a password), the ``services``' texts
========== ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.pillar import dns, logs, monitor
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render import chrony, firewall, haproxy, hosts, keepalived, services, ssh
from pigsty.topology import Node, Topology

#: Parameters that the states use as they are.
PLAIN = (
    "node_aliases",
    "node_data",
    "node_disable_numa",
    "node_disable_swap",
    "node_disk_prefetch",
    "node_hugepage_count",
    "node_hugepage_ratio",
    "node_kernel_modules",
    "node_overcommit_ratio",
    "node_pip_packages",
    "node_selinux_mode",
    "node_static_network",
    "node_sysctl_params",
    "node_timezone",
    "node_tune",
    "node_uv_env",
    "nodename_overwrite",
)
#: The group of the admin user, which other files are made readable for.
ADMIN_GROUP = "admin"


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return the pillar of one node.

    Args:
        topology: the deployment.
        node: whose pillar it is.
        site: the deployment's key and CA.
        platform: the node's operating system.
    """
    system = platform.modules["node"]
    return {
        **{name: node.vars[name] for name in PLAIN},
        "admin": _admin(topology, node, site),
        "cluster": node.cluster,
        "crontab": {
            "lines": list(node.vars["node_crontab"] or ()),
            "overwrite": node.vars["node_crontab_overwrite"],
            "stock": list(system["crontab"]),
        },
        "dns": dns.servers(topology, node),
        "firewall": _firewall(topology, node),
        "haproxy": _haproxy(topology, node, site),
        "hosts": _hosts(topology, node),
        "logs": logs.sends(topology, node),
        "monitor": monitor.pillar(topology, node, site, platform),
        "nodename": node.name,
        "ntp": _ntp(topology, node, system),
        "packages": packages(topology, node, platform),
        "trust": dict(system["trust"]),
        "vip": _vip(topology, node, site),
    }


def packages(topology: Topology, node: Node, platform: Platform) -> list[str]:
    """Return the packages of a node, sorted, each once.

    Names that other modules install (etcd, exporters) are left to them: a default list that carries
    them must not start an etcd on every node.

    Args:
        topology: the deployment.
        node: the node.
        platform: its operating system.
    """
    system, values = platform.modules["node"], node.vars
    asked = [*(values["node_default_packages"] or ()), *(values["node_packages"] or ())]
    tokens = [token for entry in asked for token in entry.replace(",", " ").split()]
    names = set(platform.packages(t for t in tokens if t not in system["elsewhere"]))
    names.update(monitor.programs(node, platform, "node"))
    for wanted, group in (
        (values["haproxy_enabled"], "haproxy"),
        (values["vip_enabled"], "vip"),
        (values["node_ntp_enabled"], "ntp"),
        (values["node_firewall_mode"] == "zone", "firewall"),
        (values["node_uv_env"] and values["node_pip_packages"], "venv"),
        (logs.sends(topology, node)["infra"], "logs"),
    ):
        if wanted:
            names.update(system[group])
    return sorted(names)


def _hosts(topology: Topology, node: Node) -> list[str] | None:
    """Return the lines of /etc/hosts: the declared ones, then the node and its partners."""
    values = node.vars
    if not values["node_write_etc_hosts"]:
        return None
    declared = [*(values["node_default_etc_hosts"] or ()), *(values["node_etc_hosts"] or ())]
    members: dict[str, list[str]] = {}
    for ip, name in _names(topology, node):
        members.setdefault(ip, []).append(name)
    return hosts.lines(declared, members)


def _names(topology: Topology, node: Node) -> Iterator[tuple[str, str]]:
    """Yield address and name of the machines that a node knows by name."""
    if node.name:
        yield node.ip, node.name
    instance = topology.pg_instances.get(node.ip)
    if instance is not None:
        for member in topology.pg_clusters[instance.cluster].members:
            yield member.ip, member.name
    for etcd in topology.etcd:
        yield etcd.ip, etcd.name
    for infra in topology.infra:
        yield infra.ip, infra.name
    if node.vars["nodename_exchange"]:
        for other in topology.nodes.values():
            if other.name:
                yield other.ip, other.name


def _admin(topology: Topology, node: Node, site: Site) -> dict[str, Any] | None:
    """Return the admin user, or None where there shall be none.

    With the exchange of keys the nodes of a cluster share a key pair that follows from the
    deployment's key, and the admin node's key opens every node: that needs no talk among the
    nodes, and no list that grows with their number.
    """
    values = node.vars
    if not values["node_admin_enabled"]:
        return None
    user = values["node_admin_username"]
    keys = list(values["node_admin_pk_list"] or ())
    if values["node_admin_pk_current"]:
        keys += site.operator_keys
    own = None
    if values["node_admin_ssh_exchange"]:
        admin = topology.nodes.get(topology.admin_ip)
        own = _key(site, node.cluster, user)
        keys += [own.public] + ([_key(site, admin.cluster, user).public] if admin else [])
    return {
        "gid": values["node_admin_uid"],
        "group": ADMIN_GROUP,
        "keys": ssh.authorized(keys),
        "name": user,
        "private_key": own.private if own else None,
        "public_key": own.public if own else None,
        "sudo": ssh.sudoers(user, values["node_admin_sudo"]),
        "uid": values["node_admin_uid"],
    }


def _key(site: Site, cluster: str, user: str) -> ssh.KeyPair:
    """Return the key pair of a cluster's admin user."""
    return ssh.key_pair(site.secret(cluster, "node_admin_ssh_key"), f"{user}@{cluster}")


def _ntp(topology: Topology, node: Node, system: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return chrony's configuration; the admin node serves the time where nodes ask it for that."""
    values = node.vars
    if not values["node_ntp_enabled"]:
        return None
    declared = list(values["node_ntp_servers"] or ())
    asked_of_me = any(node.ip in line.split()[:2] for line in declared)
    serve = list(values["node_firewall_intranet"] or ()) if asked_of_me else []
    text = chrony.conf(chrony.sources(declared, node.ip), serve=serve)
    return {"conf": system["chrony"]["conf"], "text": text, "unit": system["chrony"]["unit"]}


def _firewall(topology: Topology, node: Node) -> dict[str, Any]:
    """Return the packet filter; peers outside the intranet are trusted by address."""
    values = node.vars
    mode = values["node_firewall_mode"]
    if mode != "zone":
        return {"mode": mode, "rules": None}
    networks = list(values["node_firewall_intranet"] or ())
    ports = set(values["node_firewall_public_port"] or ())
    infra = {topology.admin_ip, *(member.ip for member in topology.infra)}
    if node.ip == topology.admin_ip:
        ports.update(firewall.SALT_PORTS)
    peers = firewall.outside(infra | set(_fellows(topology, node)), networks)
    return {"mode": mode, "rules": firewall.rules(networks, peers, ports)}


def _fellows(topology: Topology, node: Node) -> list[str]:
    """Return the other hosts of the node's groups, in the order of the inventory.

    Only groups that mean something count: ``all`` holds every host, which says nothing about any
    two.
    """
    groups = topology.inventory.hosts[node.ip].groups
    hosts_of = (topology.groups[group] for group in groups if group not in ("all", "ungrouped"))
    return [ip for ip in dict.fromkeys(ip for group in hosts_of for ip in group) if ip != node.ip]


def _vip(topology: Topology, node: Node, site: Site) -> dict[str, Any] | None:
    """Return the floating address with the nodes that share it, or None."""
    values = node.vars
    if not values["vip_enabled"]:
        return None
    address = values["vip_address"]
    peers = [
        ip
        for ip in _fellows(topology, node)
        if (other := topology.nodes[ip].vars)["vip_enabled"] and other["vip_address"] == address
    ]
    password = values["vip_auth_pass"] or site.secret("all", f"vip_auth_pass:{address}")
    return {
        "address": address,
        "interface": values["vip_interface"],
        "ip": node.ip,
        "password": str(password)[: keepalived.PASSWORD_LENGTH],
        "peers": peers,
        "preempt": values["vip_preempt"],
        "role": str(values["vip_role"]).lower(),
        "router": node.name or node.ip,
        "vrid": values["vip_vrid"],
    }


def _haproxy(topology: Topology, node: Node, site: Site) -> dict[str, Any]:
    """Return HAProxy's configuration; a provider also carries the services of its clusters."""
    values = node.vars
    if not values["haproxy_enabled"]:
        return {"enabled": False}
    password = values["haproxy_admin_password"] or site.secret("all", "haproxy_admin_password")
    return {
        "clean": values["haproxy_clean"],
        "config": haproxy.main(
            port=values["haproxy_exporter_port"],
            username=values["haproxy_admin_username"],
            password=password,
            client_timeout=values["haproxy_client_timeout"],
            server_timeout=values["haproxy_server_timeout"],
        ),
        "enabled": True,
        "reload": values["haproxy_reload"],
        "services": {
            **services.provided(topology, node),
            **haproxy.services(values["haproxy_services"] or ()),
        },
    }
