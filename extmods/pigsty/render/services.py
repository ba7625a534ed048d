"""The services of a PostgreSQL cluster as HAProxy serves them: who stands behind which port.

HAProxy asks each member's Patroni where to send a connection, and which members are backups follows
the live roles in the same way (:mod:`pigsty.render.selection`): a failover needs no new file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty.errors import PillarError
from pigsty.render import selection
from pigsty.render.patroni import Timing, timing
from pigsty.render.selection import Question
from pigsty.topology import Node, PgCluster, Topology

#: CA certificate on every node, against which HAProxy checks Patroni's.
CA = "/etc/pki/ca.crt"


#: What the part of a service has behind its name that serves while nobody else does.
BACKUP = ".backup"


@dataclass(frozen=True, slots=True)
class Server:
    """A member behind a service, or one of its two places there.

    Attributes:
        name: of the member.
        ip: its address.
        weight: its share of the connections.
        backup: whether it serves only while nobody else does.
        asks: what its Patroni has to answer.
    """

    name: str
    ip: str
    weight: int
    backup: bool
    asks: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a cluster.

    Attributes:
        name: ``<cluster>-<service>``.
        bind: address to listen on, ``*`` for every one.
        port: port to listen on.
        target: port of the members that connections go to.
        check_port: port of that API.
        tls: whether the API speaks TLS.
        balance: HAProxy's algorithm.
        maxconn: connections that the service accepts.
        options: the ``default-server`` line's options.
        servers: the members; those that serve first, then backups.
    """

    name: str
    bind: str
    port: int
    target: int
    check_port: int
    tls: bool
    balance: str
    maxconn: int
    options: str
    servers: tuple[Server, ...]


def services(cluster: PgCluster) -> list[Service]:
    """Return a cluster's services, the default ones first.

    Raises:
        PillarError: a service without name or port, or a selector that is no JMESPath over a list.
    """
    params = cluster.vars
    definitions = [*(params["pg_default_services"] or []), *(params["pg_services"] or [])]
    return [_service(cluster, definition) for definition in definitions]


def files(cluster: PgCluster) -> dict[str, str]:
    """Return HAProxy's files for a cluster, by name: ``<cluster>-<service>.cfg``.

    Raises:
        PillarError: as for :func:`services`.
    """
    return {f"{s.name}.cfg": text(s) for s in services(cluster)}


def provided(topology: Topology, node: Node) -> dict[str, str]:
    """Return the files of the clusters whose services a node carries as their provider.

    Args:
        topology: the deployment.
        node: a node, which may be in the group that ``pg_service_provider`` of a cluster names.

    Raises:
        PillarError: as for :func:`services`.
    """
    found: dict[str, str] = {}
    for cluster in topology.pg_clusters.values():
        if node.ip in providers(topology, cluster):
            found |= files(cluster)
    return dict(sorted(found.items()))


def providers(topology: Topology, cluster: PgCluster) -> tuple[str, ...]:
    """Return the hosts that carry a cluster's services for its members; empty: they do themselves.

    What nobody declares isn't looked up, so that thousands of clusters cost next to nothing.
    """
    first = (cluster.primary or cluster.members[0]).node
    if "pg_service_provider" not in first.declared:
        return ()
    return topology.groups.get(str(first.vars["pg_service_provider"]), ())


def text(service: Service) -> str:
    """Return the text of a service's file.

    Members that serve stand in the ``listen`` part. Backups have a part of their own, because
    another check decides about them, and HAProxy knows one check a part.
    """
    main = [server for server in service.servers if not server.backup]
    spare = [server for server in service.servers if server.backup]
    lines = [
        f"listen {service.name}",
        f"    bind {service.bind}:{service.port}",
        f"    maxconn {service.maxconn}",
    ]
    if spare:
        lines.append(f"    use_backend {service.name}{BACKUP} if {{ nbsrv({service.name}) eq 0 }}")
    lines += _balanced(service, service.name, main)
    if spare:
        lines += ["", f"backend {service.name}{BACKUP}"]
        lines += _balanced(service, service.name + BACKUP, spare)
    return "\n".join(lines) + "\n"


def _balanced(service: Service, name: str, servers: Sequence[Server]) -> list[str]:
    """Return the lines of servers, and of parts that only check where their checks differ."""
    lines = ["    mode tcp", f"    balance {service.balance}"]
    default = f"    default-server {service.options}"
    questions = list(dict.fromkeys(server.asks for server in servers))
    if len(questions) <= 1:
        for asks in questions:
            lines += _check(asks)
        return [*lines, default, *(_server(service, server, _probe) for server in servers)]
    parts = {asks: f"{name}.check{number}" for number, asks in enumerate(questions, 1)}
    lines.append(default)
    for server in servers:
        tracked = f"track {parts[server.asks]}/{server.name}"
        lines.append(_server(service, server, lambda *_, tracked=tracked: tracked))
    for asks, part in parts.items():
        lines += ["", f"backend {part}", "    mode tcp", *_check(asks), default]
        lines += [_server(service, s, _probe) for s in servers if s.asks == asks]
    return lines


def _check(asks: Sequence[Question]) -> list[str]:
    """Return the lines of a health check; Patroni closes the connection after each answer."""
    lines = ["    option httpchk"]
    for question in asks:
        if len(asks) > 1:
            lines.append("    http-check connect default")
        lines.append(f"    http-check send meth OPTIONS uri {question.path}")
        lines.append(f"    http-check expect {'' if question.yes else '! '}status 200")
    return lines


def _server(service: Service, server: Server, check: Callable[[Service, Server], str]) -> str:
    """Return the line of a server."""
    address = f"{server.ip}:{service.target}"
    checked = check(service, server)
    return f"    server {server.name} {address} {checked} weight {server.weight}"


def _probe(service: Service, server: Server) -> str:
    """Return how a server is checked itself."""
    check = f"check port {service.check_port}"
    if service.tls:
        check += f" check-ssl verify required ca-file {CA} verifyhost {server.name}"
    return check


def _service(cluster: PgCluster, definition: Mapping[str, Any]) -> Service:
    params = cluster.vars
    if not definition.get("name") or not definition.get("port"):
        raise PillarError(
            f"cluster {cluster.name}: a service needs a name and a port: {definition}"
        )
    name = f"{cluster.name}-{definition['name']}"
    check = str(definition.get("check") or "/")
    places = selection.places(
        name, check, definition.get("selector", "[]"), definition.get("backup"), cluster.members
    )
    return Service(
        name=name,
        bind=str(definition.get("ip") or "*"),
        port=int(definition["port"]),
        target=_target(params, definition.get("dest", "default")),
        check_port=int(params["patroni_port"]),
        tls=bool(params["patroni_ssl_enabled"]),
        balance=str(definition.get("balance") or "roundrobin"),
        maxconn=int(definition.get("maxconn") or 5000),
        options=str(definition.get("options") or _options(timing(params), check)),
        servers=tuple(
            Server(
                name=place.member.name,
                ip=place.member.ip,
                weight=int(place.member.vars["pg_weight"]),
                backup=place.backup,
                asks=place.asks,
            )
            for place in places
        ),
    )


def _target(params: Mapping[str, Any], destination: object) -> int:
    if destination == "default":
        destination = params["pg_default_service_dest"]
    if str(destination).isdigit():
        return int(str(destination))
    # Without PgBouncer there is nobody but the server itself.
    if destination == "pgbouncer" and params["pgbouncer_enabled"]:
        return int(params["pgbouncer_port"])
    return int(params["pg_port"])


def _options(plan: Timing, check: str) -> str:
    """Return the options of servers, timed as the recovery-time preset wants it.

    A slow start protects a cold replica while others share the load. A new leader is alone: it
    would only turn away the clients that all come back to it at once.
    """
    slow = "" if selection.leads_only(check) else "slowstart 30s "
    inter, fastinter, downinter = map(_time, (plan.inter, plan.fastinter, plan.downinter))
    return (
        f"inter {inter} fastinter {fastinter} downinter {downinter} "
        f"rise {plan.rise} fall {plan.fall} on-marked-down shutdown-sessions "
        f"{slow}maxconn 3000 maxqueue 128"
    )


def _time(value: str) -> str:
    """Return a time as HAProxy reads it: it knows no fractions, and Pigsty's plans have `0.5s`."""
    number = value.removesuffix("s")
    if value.endswith("s") and "." in number and number.replace(".", "", 1).isdigit():
        return f"{round(float(number) * 1000)}ms"
    return value
