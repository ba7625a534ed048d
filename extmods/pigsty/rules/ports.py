"""Ports: what each host listens on, and where two things want the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import is_number
from pigsty.topology import Node

#: Module -> (parameter of the port, what listens there, the parameter that must be true).
DAEMONS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "node": (
        ("node_exporter_port", "node_exporter", "node_exporter_enabled"),
        ("haproxy_exporter_port", "haproxy", "haproxy_enabled"),
        ("docker_exporter_port", "docker", "docker_enabled"),
    ),
    "infra": (
        ("nginx_port", "nginx", "nginx_enabled"),
        ("nginx_ssl_port", "nginx (TLS)", "nginx_enabled"),
        ("nginx_exporter_port", "nginx_exporter", "nginx_exporter_enabled"),
        ("dns_port", "dnsmasq", "dns_enabled"),
        ("blackbox_port", "blackbox_exporter", "blackbox_enabled"),
        ("alertmanager_port", "alertmanager", "alertmanager_enabled"),
        ("grafana_port", "grafana", "grafana_enabled"),
        ("vlogs_port", "search in logs", "loki_enabled"),
    ),
    "etcd": (("etcd_port", "etcd", ""), ("etcd_peer_port", "etcd (peers)", "")),
    "minio": (("minio_port", "minio", ""), ("minio_admin_port", "minio (console)", "")),
    "redis": (("redis_exporter_port", "redis_exporter", "redis_exporter_enabled"),),
    "pgsql": (
        ("pg_port", "postgres", ""),
        ("pgbouncer_port", "pgbouncer", "pgbouncer_enabled"),
        ("patroni_port", "patroni", ""),
        ("pg_exporter_port", "pg_exporter", "pg_exporter_enabled"),
        ("pgbouncer_exporter_port", "pgbouncer_exporter", "pgbouncer_exporter_enabled"),
        ("pgbackrest_exporter_port", "pgbackrest_exporter", "pgbackrest_exporter_enabled"),
    ),
}
SSH = 22
EVERYWHERE = ("", "*", "0.0.0.0", "::")  # noqa: S104


@dataclass(frozen=True, slots=True)
class Listener:
    """Something that listens on a port of a host."""

    port: int
    what: str
    place: Place
    address: str = ""

    def clashes(self, other: Listener) -> bool:
        """Return whether two listeners of one port can't be there together."""
        return (
            self.address == other.address
            or self.address in EVERYWHERE
            or other.address in EVERYWHERE
        )


def collisions(ctx: Context) -> Iterator[Finding]:
    """Report two listeners on one port of a host."""
    seen: set[tuple[Any, ...]] = set()
    for node in ctx.nodes:
        listeners = list(_listeners(ctx, node))
        # Hosts of one group have the same listeners: one look at them is enough.
        key = tuple((listener.port, listener.place.path) for listener in listeners)
        if key in seen:
            continue
        seen.add(key)
        taken: dict[int, list[Listener]] = {SSH: [Listener(SSH, "sshd", ctx.place(node))]}
        for listener in listeners:
            others = taken.setdefault(listener.port, [])
            other = next((other for other in others if other.clashes(listener)), None)
            if other is None:
                others.append(listener)
                continue
            # The finding stands where the inventory says something, not at a default.
            place = listener.place if listener.place.variable else other.place
            text = (
                f"port {listener.port} of {node.ip} is used twice: "
                f"by {other.what} and by {listener.what}"
            )
            yield ctx.error(place, text, "give one of them another port")


def _listeners(ctx: Context, node: Node) -> Iterator[Listener]:
    """Yield everything that listens on a host."""
    for module in node.modules:
        for parameter, what, enabled in DAEMONS.get(module, ()):
            port = ctx.number(node, parameter)
            if port is not None and (not enabled or ctx.flag(node, enabled)):
                yield Listener(port, what, ctx.place(node, parameter))
    yield from _services(ctx, node, "", "haproxy_services")
    if "pgsql" in node.modules and not ctx.text(node, "pg_service_provider"):
        cluster = ctx.text(node, "pg_cluster") + "-"
        yield from _services(ctx, node, cluster, "pg_default_services", "pg_services")
    yield from _keys(ctx, node, "redis_instances", "redis instance")
    if "infra" in node.modules:
        yield from _keys(ctx, node, "pg_exporters", "pg_exporter")


def _services(ctx: Context, node: Node, prefix: str, *parameters: str) -> Iterator[Listener]:
    """Yield the ports of services that HAProxy offers on a host."""
    for parameter in parameters:
        for service, place in ctx.objects(node, parameter):
            port = service.get("port")
            if is_number(port):
                name = f"service {prefix}{service.get('name')}"
                yield Listener(port, name, place.inside("port"), str(service.get("ip") or ""))


def _keys(ctx: Context, node: Node, parameter: str, what: str) -> Iterator[Listener]:
    """Yield the ports that are the keys of a mapping."""
    value = ctx.value(node, parameter)
    if isinstance(value, Mapping):
        for key in value:
            if str(key).isdecimal() and len(str(key)) < 6:
                yield Listener(int(key), f"{what} {key}", ctx.place(node, parameter).inside(key))
