"""Logs: what a node sends, for ``pigsty:node:logs``, and what infra nodes keep, for
``pigsty:infra:logs``.

Of a node:

``files``
    programs that write files, with the patterns of their names.
``infra``
    ``name`` and ``ip`` of the infra nodes that its journal is sent to.

Of an infra node:

``enabled``
    whether it keeps logs.
``folder``, ``retention``, ``cap``
    where, how long (for example ``15d``), and how many bytes at most.
``port``
    of the search, on the loopback.
``hosts``
    who sends: ``ip``, ``node``, ``source`` (how its files are called) and ``names``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pigsty.render.logs import sources
from pigsty.topology import Node, Topology

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"maxDiskSpaceUsageBytes=(\d+)\s*([KMGT]?)i?B?\b")
_PERIOD = re.compile(r"retentionPeriod=(\d+[hdwy]?)\b")
#: Where the inventory says nothing.
RETENTION, CAP = "15d", 50 << 30


def kept(node: Node) -> bool:
    """Return whether an infra node keeps logs: its web server takes them, so it must have one."""
    return all(node.vars[name] for name in ("loki_enabled", "repo_enabled", "nginx_enabled"))


def sends(topology: Topology, node: Node) -> dict[str, Any]:
    """Return what a node sends, and to whom.

    Args:
        topology: the deployment.
        node: the node.
    """
    values = node.vars
    to = [{"ip": infra.ip, "name": infra.name} for infra in topology.infra if kept(infra.node)]
    if not values["promtail_enabled"] or not to:
        return {"files": [], "infra": []}
    files = [("salt-minion", "/var/log/salt/minion")]
    if "infra" in node.modules:
        files.append(("nginx", "/var/log/nginx/*.log"))
    if node.ip == topology.admin_ip:
        files.append(("salt-master", "/var/log/salt/master"))
    if "pgsql" in node.modules:
        files += [
            ("patroni", f"{values['patroni_log_dir']}/*.log"),
            ("pgbackrest", f"{values['pgbackrest_log_dir']}/*.log"),
            ("pgbouncer", f"{values['pgbouncer_log_dir']}/*.log"),
            ("postgres", f"{values['pg_log_dir']}/*.csv"),
        ]
    return {"files": sorted([program, path] for program, path in files), "infra": to}


def keeps(topology: Topology, node: Node) -> dict[str, Any]:
    """Return how an infra node keeps logs, without the hosts, which are the same for all.

    Args:
        topology: the deployment.
        node: the infra node.
    """
    values = node.vars
    options = str(values["vlogs_options"] or "")
    size, period = _SIZE.search(options), _PERIOD.search(options)
    if "loki_retention" in node.declared:
        retention = str(values["loki_retention"])
    else:
        retention = _days(period[1]) if period else RETENTION
    declared = "loki_data" in node.declared
    return {
        "cap": int(size[1]) * _SIZES[size[2]] if size else CAP,
        "enabled": kept(node),
        "folder": str(values["loki_data"]) if declared else f"{values['infra_data']}/logs",
        "port": values["vlogs_port"],
        "retention": retention,
    }


def hosts(topology: Topology) -> list[dict[str, Any]]:
    """Return the hosts that send logs, with what each of them is."""
    senders = [node for node in topology.nodes.values() if sends(topology, node)["infra"]]
    source = sources(node.ip for node in senders)
    return [
        {"ip": node.ip, "names": names, "node": node.name, "source": source[node.ip]}
        for node in senders
        if (names := _names(topology, node))
    ]


def _names(topology: Topology, node: Node) -> list[Mapping[str, str]]:
    """Return what a host is to each of its modules; the node itself is the last."""
    found: list[tuple[str, str, str]] = []
    member = topology.pg_instances.get(node.ip)
    if member is not None:
        found.append(("pgsql", member.cluster, member.name))
    found += [("etcd", etcd.cluster, etcd.name) for etcd in topology.etcd if etcd.ip == node.ip]
    found += [("infra", "infra", infra.name) for infra in topology.infra if infra.ip == node.ip]
    found.append(("node", node.cluster, node.name or node.ip))
    return [{"cls": cls, "ins": ins, "module": module} for module, cls, ins in found]


def _days(period: str) -> str:
    """Return a period of VictoriaLogs as systemd writes it: a bare number counts months there."""
    number, unit = int(period.rstrip("hdwy")), period[-1]
    if unit.isdecimal():
        return f"{number * 31}d"
    return f"{number * 365}d" if unit == "y" else period
