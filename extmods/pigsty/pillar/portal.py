"""The portal of an infra node, for ``pigsty:infra:nginx``.

``home``, ``port``, ``ssl_port``, ``sslmode``, ``packages``
    the web server.
``programs``
    ``path`` and ``port`` of what listens on the loopback.
``grafana``
    Grafana's port, None where it shall not run.
``machines``
    addresses of HAProxy's admin pages, by node.
``users``, ``trusted``, ``group``
    who may pass: hashed passwords by user, addresses that need none, and nginx's own group.
``sites``
    web services of ``infra_portal`` under names of their own.
``status_port``
    where nginx tells its exporter how it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.logserver import PREFIX as LOGS
from pigsty.pillar import grafana, logs
from pigsty.pillar.monitor import NGINX_STATUS_PORT
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render import htpasswd
from pigsty.render.targets import PORTAL, PROMETHEUS_PORT, PUSHGATEWAY_PORT
from pigsty.topology import Node, Topology

#: The entry of ``infra_portal`` that is the portal itself.
HOME = "home"


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return the portal of an infra node without the machines, which are the same for all.

    Args:
        topology: the deployment.
        node: the infra node.
        site: the deployment's key.
        platform: the node's operating system.
    """
    values = node.vars
    ports = {
        "prometheus": PROMETHEUS_PORT,
        "alertmanager": values["alertmanager_port"],
        "blackbox": values["blackbox_port"],
        "pushgateway": PUSHGATEWAY_PORT,
    }
    users = {
        str(user): htpasswd.crypt(str(password), _salt(site, str(user)))
        for user, password in sorted((values["nginx_users"] or {}).items())
    }
    return {
        "grafana": values["grafana_port"] if grafana.wanted(node) else None,
        "group": platform.modules["infra"]["nginx_group"],
        "home": str(values["repo_home"]),
        "packages": platform.packages(["nginx"]),
        "port": values["nginx_port"],
        "programs": [
            {"path": PORTAL[name], "port": port}
            for name, port in ports.items()
            if values[f"{name}_enabled"]
        ]
        + ([{"path": LOGS, "port": values["vlogs_port"]}] if logs.kept(node) else []),
        "sites": sites(values),
        "ssl_port": values["nginx_ssl_port"],
        "sslmode": values["nginx_sslmode"],
        "status_port": NGINX_STATUS_PORT,
        "trusted": sorted({topology.admin_ip, *(infra.ip for infra in topology.infra)}),
        "users": users,
    }


def machines(topology: Topology) -> dict[str, str]:
    """Return the addresses of the nodes' HAProxy pages by name; of two alike, the first."""
    found: dict[str, str] = {}
    for node in topology.nodes.values():
        if node.vars["haproxy_enabled"]:
            address = f"{node.ip}:{node.vars['haproxy_exporter_port']}"
            found.setdefault(node.name or node.ip, address)
    return found


def sites(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the web services that ``infra_portal`` names beside the portal itself."""
    found = []
    for name, entry in sorted((values["infra_portal"] or {}).items()):
        domains = names(entry)
        if name == HOME or not domains or not (entry.get("endpoint") or entry.get("path")):
            continue
        endpoint = str(entry.get("endpoint") or "")
        found.append(
            {
                "auth": bool(entry.get("auth")),
                "cert": str(entry.get("cert") or ""),
                "config": str(entry.get("config") or ""),
                "domains": domains,
                "enforce_https": bool(entry.get("enforce_https")),
                "key": str(entry.get("key") or ""),
                "path": str(entry.get("path") or ""),
                "target": f"{entry.get('scheme') or 'http'}://{endpoint}" if endpoint else "",
                "websocket": bool(entry.get("websocket")),
            }
        )
    return found


def names(entry: Mapping[str, Any]) -> list[str]:
    """Return the host names of an entry of ``infra_portal``, each once."""
    given = [entry.get("domain"), *(entry.get("domains") or ())]
    return list(dict.fromkeys(str(name) for name in given if name))


def _salt(site: Site, user: str) -> str:
    """Return a user's salt: random to others, and the same at every look."""
    return site.secret("nginx", user).replace("-", ".").replace("_", "/")[: htpasswd.SALT]
