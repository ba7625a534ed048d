"""What watches the deployment, for ``pigsty:infra:monitoring`` of an infra node.

``home``, ``data``
    the folder that people know, and where it leads.
``prometheus``, ``alertmanager``, ``blackbox``, ``pushgateway``
    ``enabled`` and ``options`` of each; ``data`` and ``remote_write`` (addresses, with passwords)
    of the first, ``port`` of the others.
``events``
    ``port`` and ``token`` (a secret) with which Alertmanager reaches the event bus; None elsewhere
    than on the admin node.
``units``
    of each, the name of its package, which is that of its unit and its program.
``url``
    the portal's address, for links in alerts.
``scrape_interval``, ``scrape_timeout``, ``look``, ``path``
    how often metrics are collected and target files looked at, and where exporters publish.
``rules``
    our rule files, by name.
``counts``
    how many targets there are for each job of Prometheus.
``targets``
    the target files, by path below their folder, see :mod:`pigsty.render.targets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pigsty import alerting
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render.targets import PUSHGATEWAY_PORT
from pigsty.topology import Node, Topology

#: Where people find the monitoring's files; a link to ``infra_data``.
HOME = "/infra"
#: Our rules, as Prometheus and promtool read them.
RULES = Path(__file__).resolve().parents[3] / "states" / "infra" / "rules"


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return the monitoring of an infra node without its targets.

    Args:
        topology: the deployment.
        node: the infra node.
        site: the deployment's key.
        platform: its operating system.
    """
    values = node.vars
    data = str(values["infra_data"])
    declared = "prometheus_data" in node.declared
    return {
        "alertmanager": _daemon(values, "alertmanager") | {"port": values["alertmanager_port"]},
        "blackbox": _daemon(values, "blackbox") | {"port": values["blackbox_port"]},
        "data": data,
        "events": {"port": alerting.PORT, "token": events_token(site)}
        if node.ip == topology.admin_ip
        else None,
        "home": HOME,
        "look": str(values["prometheus_sd_interval"]),
        "path": str(values["exporter_metrics_path"]),
        "prometheus": _daemon(values, "prometheus")
        | {
            "data": str(values["prometheus_data"]) if declared else f"{data}/metrics",
            "remote_write": list(values["prometheus_remote_write"] or ()),
        },
        "pushgateway": _daemon(values, "pushgateway") | {"port": PUSHGATEWAY_PORT},
        "rules": dict(rules()),
        "scrape_interval": str(values["prometheus_scrape_interval"]),
        "scrape_timeout": str(values["prometheus_scrape_timeout"]),
        "units": dict(platform.modules["infra"]["monitoring"]),
        "url": portal(node),
    }


def events_token(site: Site) -> str:
    """Return what shows the event bus that it is Alertmanager who tells of an alert."""
    return site.secret("all", "alertmanager_events")


@cache
def rules() -> Mapping[str, str]:
    """Return the text of our rule files by the name under which Prometheus reads them."""
    return {f"pigsty-{file.name}": file.read_text("utf-8") for file in sorted(RULES.glob("*.yml"))}


def packages(node: Node, platform: Platform) -> list[str]:
    """Return the packages of an infra node's monitoring."""
    known = platform.modules["infra"]["monitoring"]
    return [name for key, name in known.items() if node.vars[f"{key}_enabled"]]


def portal(node: Node) -> str:
    """Return the address of an infra node's portal, without a slash at its end."""
    values = node.vars
    home = (values["infra_portal"] or {}).get("home") or {}
    host = str(home.get("domain") or node.ip)
    if values["nginx_sslmode"] == "disable":
        return f"http://{host}" + ("" if values["nginx_port"] == 80 else f":{values['nginx_port']}")
    port = values["nginx_ssl_port"]
    return f"https://{host}" + ("" if port == 443 else f":{port}")


def _daemon(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return whether a daemon runs, and its further options."""
    return {
        "enabled": bool(values[f"{name}_enabled"]),
        "options": str(values[f"{name}_options"] or ""),
    }
