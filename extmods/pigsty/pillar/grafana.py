"""Grafana on an infra node, for ``pigsty:infra:grafana``.

``enabled``, ``package``, ``unit``, ``port``, ``url``, ``language``, ``auth_proxy``
    whether it shall run, what it is called, and where people find it.
``user``, ``password``
    its administrator.
``database``
    the PostgreSQL URL under which it keeps its state, empty for a file.
``prometheus``, ``interval``
    where its metrics come from, and how often there are new ones.
``meta``
    the meta database: ``host``, ``port``, ``database``, ``user``, ``password``; None without one.
"""

from __future__ import annotations

from typing import Any

from pigsty.pillar import monitoring
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render.targets import PORTAL, PROMETHEUS_PORT
from pigsty.topology import Node, Topology

#: The meta database, and who may only read it.
META, VIEWER = "meta", "dbuser_view"


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return Grafana of an infra node; where it is off, no secret of it.

    Args:
        topology: the deployment.
        node: the infra node.
        site: the deployment's key.
        platform: the node's operating system.
    """
    values = node.vars
    found: dict[str, Any] = {"enabled": wanted(node), **platform.modules["infra"]["grafana"]}
    if not found["enabled"]:
        return found
    password = values["grafana_admin_password"]
    return {
        **found,
        "auth_proxy": bool(values["grafana_auth_proxy"]),
        "database": str(values["grafana_pgurl"] or ""),
        "interval": str(values["prometheus_scrape_interval"]),
        "language": "zh-Hans" if values["language"] == "zh" else "en-US",
        "meta": meta(topology, node),
        "password": str(password) if password else site.secret("all", "grafana_admin_password"),
        "port": values["grafana_port"],
        "prometheus": f"http://127.0.0.1:{PROMETHEUS_PORT}{PORTAL['prometheus']}",
        "url": monitoring.portal(node),
        "user": str(values["grafana_admin_username"]),
    }


def wanted(node: Node) -> bool:
    """Return whether Grafana shall run on an infra node: people reach it by the web server."""
    return all(node.vars[name] for name in ("grafana_enabled", "repo_enabled", "nginx_enabled"))


def meta(topology: Topology, node: Node) -> dict[str, Any] | None:
    """Return the meta database of a deployment: the one of that name on the admin node.

    Without a password for its reader, declared for the user or for Grafana, there is no use in it.
    """
    for cluster in topology.pg_clusters.values():
        names = {entry.get("name") for entry in cluster.vars["pg_databases"] or ()}
        users = {entry.get("name"): entry for entry in cluster.vars["pg_users"] or ()}
        here = any(member.ip == topology.admin_ip for member in cluster.members)
        if not here or META not in names or VIEWER not in users:
            continue
        password = node.vars["grafana_view_password"] or users[VIEWER].get("password")
        if not password:
            return None
        return {
            "host": topology.admin_ip,
            "port": cluster.vars["pg_port"],
            "database": META,
            "user": VIEWER,
            "password": str(password),
        }
    return None
