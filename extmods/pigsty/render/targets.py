"""What Prometheus looks at: a file for each instance, in the layout that Pigsty's users know.

==================== ==================================================================
file                 what it holds
==================== ==================================================================
node/<ip>.yml        the machine and its HAProxy
ping/<ip>.yml        the machine's address; ``<vip>---<ip>.yml`` its floating addresses
etcd/<ins>.yml       a member of etcd
pgsql/<ins>.yml      PostgreSQL, PgBouncer, backups; Patroni where it speaks plain HTTP
patroni/<ins>.yml    Patroni where it speaks TLS
pgrds/<cls>.yml      PostgreSQL servers that are watched but not managed
salt/<ip>.yml        what the admin node knows of minions and reactions
infra/infra-<seq>.yml  what an infra node runs, a block for each program
==================== ==================================================================

Every block has the labels ``cls``, ``ins`` and ``ip``, and ``component``: which program it is,
whatever port it was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pigsty.render.files import BANNER
from pigsty.topology import InfraNode, Node, PgInstance, Topology

#: The folder of the target files below the folder of the monitoring.
FOLDER = "targets"
#: One folder for each job of Prometheus.
JOBS = ("etcd", "infra", "node", "patroni", "pgrds", "pgsql", "ping", "salt")
#: Where the programs of an infra node listen: on its loopback, behind the portal.
PROMETHEUS_PORT = 9090
PUSHGATEWAY_PORT = 9091
#: The portal's path of each program that other infra nodes look at, and its metrics below that.
PORTAL = {
    "prometheus": "/prometheus",
    "alertmanager": "/alertmgr",
    "blackbox": "/blackbox",
    "pushgateway": "/pushgateway",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses of one program of one instance.

    Attributes:
        component: which program: ``node``, ``haproxy``, ``postgres`` …
        cls: cluster.
        ins: instance.
        ip: the machine.
        addresses: ``host:port``, or a bare address to be pinged.
        more: further labels.
    """

    component: str
    cls: str
    ins: str
    ip: str
    addresses: tuple[str, ...]
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """All labels, by name."""
        own = {"cls": self.cls, "component": self.component, "ins": self.ins, "ip": self.ip}
        return {**own, **self.more}


def text(targets: Iterable[Target]) -> str:
    """Return a target file. Its values are written as JSON, which YAML reads as it is."""
    lines = [BANNER]
    for target in targets:
        lines.append(f"- labels: {json.dumps(dict(sorted(target.labels.items())))}")
        lines.append(f"  targets: {json.dumps(list(target.addresses))}")
    return "\n".join(lines) + "\n"


def files(topology: Topology) -> dict[str, str]:
    """Return the files that are the same on all infra nodes: text by ``<job>/<name>.yml``."""
    found = sorted(everything(topology), key=lambda file: file[0])
    return {path: text(targets) for path, targets in found if targets}


def everything(topology: Topology) -> Iterator[tuple[str, list[Target]]]:
    """Yield each file's path with its targets, all infra nodes' own files excepted."""
    for node in topology.nodes.values():
        yield f"node/{node.ip}.yml", _node(node)
        yield from _pings(node)
    yield from _master(topology)
    for etcd in topology.etcd:
        address = f"{etcd.ip}:{etcd.node.vars['etcd_port']}"
        target = Target("etcd", etcd.cluster, etcd.name, etcd.ip, (address,))
        yield f"etcd/{etcd.name}.yml", [target]
    for cluster in topology.pg_clusters.values():
        for member in cluster.members:
            own, patroni = _pgsql(member)
            yield f"pgsql/{member.name}.yml", own
            yield f"patroni/{member.name}.yml", patroni
    servers: dict[str, list[Target]] = {}
    for infra in topology.infra:
        for target in watched(infra):
            servers.setdefault(target.cls, []).append(target)
    for cls, found in servers.items():
        yield f"pgrds/{cls}.yml", found


def counts(topology: Topology, seen_by: str) -> dict[str, int]:
    """Return how many targets each job of an infra node's Prometheus has."""
    found: dict[str, int] = {}
    pairs = [*everything(topology)]
    pairs += [("infra/", infra_targets(infra, infra.ip == seen_by)) for infra in topology.infra]
    for path, targets in pairs:
        for target in targets:
            job = str(target.more.get("job", path.partition("/")[0]))
            found[job] = found.get(job, 0) + len(target.addresses)
    return dict(sorted(found.items()))


def metrics(found: Mapping[str, int]) -> str:
    """Return :func:`counts` as metrics, for a target that Prometheus doesn't know."""
    name = "pigsty_targets"
    help_ = [f"# HELP {name} Targets that the inventory declares", f"# TYPE {name} gauge"]
    rows = [f'{name}{{target_job="{job}"}} {count}' for job, count in found.items()]
    return "\n".join([BANNER, *help_, *rows]) + "\n"


def infra_files(topology: Topology, seen_by: str) -> dict[str, str]:
    """Return the files of the infra nodes as one of them reaches the others.

    Its own programs are asked at the loopback. Those of others are behind their portals, which let
    infra nodes in without a password.

    Args:
        topology: the deployment.
        seen_by: address of the infra node whose Prometheus reads the files.
    """
    return {
        f"infra/{infra.name}.yml": text(infra_targets(infra, infra.ip == seen_by))
        for infra in topology.infra
    }


def infra_targets(infra: InfraNode, own: bool) -> list[Target]:
    """Return what an infra node runs, as itself or as another one reaches it."""
    values = infra.node.vars
    ports = {"prometheus": PROMETHEUS_PORT if values["prometheus_enabled"] else 0}
    ports["alertmanager"] = values["alertmanager_port"] if values["alertmanager_enabled"] else 0
    ports["blackbox"] = values["blackbox_port"] if values["blackbox_enabled"] else 0
    ports["pushgateway"] = PUSHGATEWAY_PORT if values["pushgateway_enabled"] else 0
    tls = values["nginx_sslmode"] != "disable"
    portal = f"{infra.ip}:{values['nginx_ssl_port'] if tls else values['nginx_port']}"
    found = []
    for name, port in ports.items():
        if not port or not (own or values["nginx_enabled"]):
            continue
        address = f"127.0.0.1:{port}" if own else portal
        path = {"__metrics_path__": f"{PORTAL[name]}/metrics"}
        scheme = {} if own else {"__scheme__": "https" if tls else "http"}
        found.append(
            Target(name, name, f"{name}-{infra.seq}", infra.ip, (address,), {**path, **scheme})
        )
    if values["nginx_enabled"] and values["nginx_exporter_enabled"]:
        address = f"{infra.ip}:{values['nginx_exporter_port']}"
        ins, scheme = f"nginx-{infra.seq}", _scheme(infra.node)
        found.append(Target("nginx", "nginx", ins, infra.ip, (address,), scheme))
    return found


def watched(infra: InfraNode) -> Iterator[Target]:
    """Yield the PostgreSQL servers that an infra node watches without managing them."""
    for port, spec in sorted((infra.node.vars["pg_exporters"] or {}).items()):
        cls = str(spec["pg_cluster"])
        ins = f"{cls}-{spec['pg_seq']}"
        more = {"target": f"{spec['pg_host']}:{spec.get('pg_port', 5432)}", **_scheme(infra.node)}
        yield Target("postgres", cls, ins, str(spec["pg_host"]), (f"{infra.ip}:{port}",), more)


def _scheme(node: Node) -> dict[str, str]:
    """Return the label that says how a node's exporters are asked."""
    return {"__scheme__": "https"} if node.vars["exporter_tls"] else {}


def _node(node: Node) -> list[Target]:
    values = node.vars
    name = node.name or node.ip
    found = []
    if values["node_exporter_enabled"]:
        address = f"{node.ip}:{values['node_exporter_port']}"
        found.append(Target("node", node.cluster, name, node.ip, (address,), _scheme(node)))
    if values["haproxy_enabled"]:
        address = f"{node.ip}:{values['haproxy_exporter_port']}"
        found.append(Target("haproxy", node.cluster, name, node.ip, (address,)))
    return found


def _master(topology: Topology) -> Iterator[tuple[str, list[Target]]]:
    """Yield the admin node once more: what it knows of others is asked for by itself."""
    node = topology.nodes.get(topology.admin_ip)
    if node is not None and node.vars["node_exporter_enabled"]:
        address = f"{node.ip}:{node.vars['node_exporter_port']}"
        name = node.name or node.ip
        target = Target("salt", node.cluster, name, node.ip, (address,), _scheme(node))
        yield f"salt/{node.ip}.yml", [target]


def _pings(node: Node) -> Iterator[tuple[str, list[Target]]]:
    values = node.vars
    name = node.name or node.ip
    yield f"ping/{node.ip}.yml", [Target("ping", node.cluster, name, node.ip, (node.ip,))]
    for enabled, address, job in (
        (values["vip_enabled"], values["vip_address"], "node-vip"),
        (
            "pgsql" in node.modules and values["pg_vip_enabled"],
            values["pg_vip_address"],
            "pgsql-vip",
        ),
    ):
        vip = str(address or "").partition("/")[0]
        if enabled and vip:
            more = {"job": job, "vip": vip}
            target = Target("ping", node.cluster, name, node.ip, (vip,), more)
            yield f"ping/{vip}---{node.ip}.yml", [target]


def _pgsql(member: PgInstance) -> tuple[list[Target], list[Target]]:
    """Return a member's own targets, and Patroni's when it speaks TLS."""
    values, ip = member.vars, member.ip
    patroni = [("patroni", values["patroni_port"])] if values["patroni_enabled"] else []
    ports = []
    if values["pg_exporter_enabled"]:
        ports.append(("postgres", values["pg_exporter_port"]))
    if values["pgbouncer_enabled"] and values["pgbouncer_exporter_enabled"]:
        ports.append(("pgbouncer", values["pgbouncer_exporter_port"]))
    if values["pgbackrest_enabled"] and values["pgbackrest_exporter_enabled"]:
        ports.append(("pgbackrest", values["pgbackrest_exporter_port"]))
    if not values["patroni_ssl_enabled"]:
        ports += patroni
        patroni = []

    scheme = _scheme(member.node)

    def made(found: list[tuple[str, Any]]) -> list[Target]:
        return [
            Target(name, member.cluster, member.name, ip, (f"{ip}:{port}",),
                   {} if name == "patroni" else scheme)
            for name, port in found
        ]  # fmt: skip

    return made(ports), made(patroni)
