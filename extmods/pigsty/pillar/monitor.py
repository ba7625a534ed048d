"""What publishes a node's metrics, for ``pigsty:node:monitor``; see :mod:`pigsty.render.exporters`.

``ip``
    where the exporters listen.
``idle``
    units that stop where the node was an infra node once and is none any more.
``programs``
    by exporter, the name of its package, which is that of its unit and its program.
``exporters``
    by exporter, its options; None where the inventory has it off.
``remote``
    PostgreSQL servers that are watched from here without being managed, by port.
``tls``
    whether exporters ask for a certificate of our CA.
``certificates``
    paths of the certificates that this node uses, by role, so that their end is watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render import dns, logs
from pigsty.render.exporters import url
from pigsty.sql import passwords
from pigsty.topology import Node, Topology

#: What a connection of an exporter is, beside its address: its name, and where our extensions are.
#: A comma would part two connections.
_CONNECTION = "application_name=postgres_exporter&search_path=monitor%2Cpublic"
#: Where nginx tells how it is, on the loopback.
NGINX_STATUS_PORT = 8087
#: Certificates by role, as the states of the modules put them.
CERTIFICATES = {
    "etcd": "/etc/etcd/server.crt",
    "infra": "/etc/pki/infra.crt",
    "node": "/etc/pki/node.crt",
    "pgsql": "/pg/cert/server.crt",
}


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return what publishes a node's metrics.

    Args:
        topology: the deployment.
        node: the node.
        site: the deployment's key.
        platform: its operating system.
    """
    values = node.vars
    collectors = list(platform.modules["node"].get("postgres_collectors", ()))
    found: dict[str, Any] = {"node": None}
    if values["node_exporter_enabled"]:
        options = str(values["node_exporter_options"] or "")
        found["node"] = _options(values, "node_exporter_port", options)
    if "pgsql" in node.modules:
        found |= _pgsql(topology, node, site, collectors)
    if "infra" in node.modules:
        on = values["nginx_enabled"] and values["nginx_exporter_enabled"]
        nginx = {**_options(values, "nginx_exporter_port"), "status_port": NGINX_STATUS_PORT}
        found["nginx"] = nginx if on else None
    return {
        "certificates": _certificates(node),
        "exporters": found,
        "idle": _idle(node, platform),
        "ip": node.ip,
        "programs": dict(platform.modules["node"]["exporters"]),
        "remote": _remote(topology, node, site, collectors),
        "tls": bool(values["exporter_tls"])
        and ("infra" in node.modules or any(options is not None for options in found.values())),
    }


def _certificates(node: Node) -> dict[str, str]:
    """Return the files of the certificates that a node uses, by role."""
    found = {role: path for role, path in CERTIFICATES.items() if role in node.modules}
    if "infra" in node.modules:
        # Web services of the portal may bring certificates of their own, which nobody renews.
        for name, entry in (node.vars["infra_portal"] or {}).items():
            if entry.get("cert"):
                found[f"portal {name}"] = str(entry["cert"])
    return found


def _idle(node: Node, platform: Platform) -> list[str]:
    """Return the units that only infra nodes run, on a node that may have been one."""
    if "infra" in node.modules or "infra" not in platform.modules:
        return []
    exporter = platform.modules["node"]["exporters"].get("nginx")
    names = [*platform.modules["infra"]["monitoring"].values(), *([exporter] if exporter else [])]
    names.append(platform.modules["infra"]["grafana"]["unit"])
    return [*sorted([*(f"{name}.service" for name in names), dns.UNIT]), *logs.STORE]


def programs(node: Node, platform: Platform, module: str) -> list[str]:
    """Return the packages of the exporters that a module of a node brings with it.

    Args:
        node: the node.
        platform: its operating system.
        module: ``node``, ``pgsql`` or ``infra``.
    """
    values, known = node.vars, platform.modules["node"]["exporters"]
    wanted: Mapping[str, Mapping[str, Any]] = {
        "infra": {
            "nginx": values["nginx_enabled"] and values["nginx_exporter_enabled"],
            "postgres": values["pg_exporters"],
        },
        "node": {"node": values["node_exporter_enabled"]},
        "pgsql": {
            "pgbackrest": values["pgbackrest_enabled"] and values["pgbackrest_exporter_enabled"],
            "pgbouncer": values["pgbouncer_enabled"] and values["pgbouncer_exporter_enabled"],
            "postgres": values["pg_exporter_enabled"],
        },
    }
    return [known[name] for name, on in wanted[module].items() if on and name in known]


def _options(values: Mapping[str, Any], port: str, options: str = "") -> dict[str, Any]:
    """Return what every exporter has."""
    path = str(values["exporter_metrics_path"])
    return {"options": options, "path": path, "port": values[port]}


def _pgsql(
    topology: Topology, node: Node, site: Site, collectors: list[str]
) -> dict[str, dict[str, Any] | None]:
    """Return the exporters of a PostgreSQL member."""
    values = node.vars
    cluster = topology.pg_instances[node.ip].cluster
    socket, user = str(values["pg_localhost"]), str(values["pg_dbsu"])
    found: dict[str, dict[str, Any] | None] = {
        "pgbackrest": None,
        "pgbouncer": None,
        "postgres": None,
    }
    if values["pg_exporter_enabled"]:
        password = passwords.password(topology, cluster, site, "pg_monitor_password")
        declared = str(values["pg_exporter_url"] or "")
        own = url(
            str(values["pg_monitor_username"]),
            password,
            f"127.0.0.1:{values['pg_port']}",
            "postgres",
            _parameters(values),
        )
        found["postgres"] = {
            **_options(values, "pg_exporter_port", str(values["pg_exporter_options"] or "")),
            **_databases(values),
            "collectors": collectors,
            "url": declared or own,
            "version": int(values["pg_version"]),
        }
    if values["pgbouncer_enabled"] and values["pgbouncer_exporter_enabled"]:
        options = str(values["pgbouncer_exporter_options"] or "")
        by_socket = (
            f"postgresql:///pgbouncer?host={socket}&port={values['pgbouncer_port']}"
            f"&user={user}&sslmode=disable"
        )
        declared = str(values["pgbouncer_exporter_url"] or "")
        found["pgbouncer"] = {
            **_options(values, "pgbouncer_exporter_port", options),
            "url": declared or by_socket,
            "user": user,
        }
    if values["pgbackrest_enabled"] and values["pgbackrest_exporter_enabled"]:
        options = str(values["pgbackrest_exporter_options"] or "")
        found["pgbackrest"] = {
            **_options(values, "pgbackrest_exporter_port", options),
            "user": user,
        }
    return found


def _databases(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return which databases an exporter looks into."""
    return {
        "discover": bool(values["pg_exporter_auto_discovery"]),
        "exclude": str(values["pg_exporter_exclude_database"] or ""),
        "include": str(values["pg_exporter_include_database"] or ""),
    }


def _parameters(values: Mapping[str, Any]) -> str:
    """Return the parameters of an exporter's connection."""
    return f"{values['pg_exporter_params'] or 'sslmode=disable'}&{_CONNECTION}"


def _remote(
    topology: Topology, node: Node, site: Site, collectors: list[str]
) -> dict[str, dict[str, Any]]:
    """Return the servers that an infra node watches, by the port of their exporter."""
    found = {}
    values = node.vars
    entries = values["pg_exporters"] if "infra" in node.modules else None
    for port, spec in (entries or {}).items():
        cluster = str(spec["pg_cluster"])
        user = str(spec.get("pg_monitor_username") or values["pg_monitor_username"])
        password = spec.get("pg_monitor_password") or values["pg_monitor_password"]
        address = f"{spec['pg_host']}:{spec.get('pg_port') or 5432}"
        found[str(port)] = {
            **_databases(values),
            "collectors": collectors,
            "ins": f"{cluster}-{spec['pg_seq']}",
            "options": "",
            "path": str(values["exporter_metrics_path"]),
            "url": url(user, str(password or ""), address, "postgres", _parameters(values)),
        }
    return found
