"""The services of a PostgreSQL cluster as HAProxy serves them: who stands behind which port.

HAProxy asks each member's Patroni where to send a connection, so a failover needs no new file. Only
which servers are backups follows a role: :func:`files` takes the live roles where they are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from pigsty.errors import PillarError
from pigsty.render.patroni import Timing, timing
from pigsty.topology import Node, PgCluster, PgInstance, Topology

#: CA certificate on every node, against which HAProxy checks Patroni's.
CA = "/etc/pki/ca.crt"


@dataclass(frozen=True, slots=True)
class Server:
    """A member behind a service."""

    name: str
    ip: str
    weight: int
    backup: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a cluster.

    Attributes:
        name: ``<cluster>-<service>``.
        bind: address to listen on, ``*`` for every one.
        port: port to listen on.
        target: port of the members that connections go to.
        check: path of Patroni's REST API that answers 200 on a member that may serve.
        check_port: port of that API.
        tls: whether the API speaks TLS.
        balance: HAProxy's algorithm.
        maxconn: connections that the service accepts.
        options: the ``default-server`` line's options.
        servers: the members, by name.
    """

    name: str
    bind: str
    port: int
    target: int
    check: str
    check_port: int
    tls: bool
    balance: str
    maxconn: int
    options: str
    servers: tuple[Server, ...]


def services(cluster: PgCluster, live_roles: Mapping[str, str] | None = None) -> list[Service]:
    """Return a cluster's services, the default ones first.

    Args:
        cluster: the cluster.
        live_roles: instance name to its role now (``primary`` or ``replica``); members without an
            entry count as the inventory has them.

    Raises:
        PillarError: a service without name or port, or a selector that is no JMESPath over a list.
    """
    params = cluster.vars
    definitions = [*(params["pg_default_services"] or []), *(params["pg_services"] or [])]
    members = [_View(member, (live_roles or {}).get(member.name)) for member in cluster.members]
    return [_service(cluster, definition, members) for definition in definitions]


def files(cluster: PgCluster, live_roles: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return HAProxy's files for a cluster, by name: ``<cluster>-<service>.cfg``.

    Args:
        cluster: the cluster.
        live_roles: as for :func:`services`.

    Raises:
        PillarError: as for :func:`services`.
    """
    return {f"{s.name}.cfg": text(s) for s in services(cluster, live_roles)}


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
    """Return the text of a service's file."""
    lines = [
        f"listen {service.name}",
        f"    bind {service.bind}:{service.port}",
        "    mode tcp",
        f"    maxconn {service.maxconn}",
        f"    balance {service.balance}",
        "    option httpchk",
        f"    http-check send meth OPTIONS uri {service.check}",
        "    http-check expect status 200",
        f"    default-server {service.options}",
    ]
    for server in service.servers:
        check = f"check port {service.check_port}"
        if service.tls:
            check += f" check-ssl verify required ca-file {CA} verifyhost {server.name}"
        line = f"    server {server.name} {server.ip}:{service.target} {check}"
        lines.append(f"{line} weight {server.weight}{' backup' if server.backup else ''}")
    return "\n".join(lines) + "\n"


class _View(Mapping[str, Any]):
    """A member's variables as selectors see them; ``pg_role`` is the live one where it is known."""

    def __init__(self, member: PgInstance, live: str | None) -> None:
        self.member = member
        self._role = _role(member.role, live)

    def __getitem__(self, key: str) -> Any:
        return self._role if key == "pg_role" else self.member.vars[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.member.vars)

    def __len__(self) -> int:
        return len(self.member.vars)

    # Two members are never the same, and comparing their variables would render every one of them.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _role(declared: str, live: str | None) -> str:
    if live is None:
        return declared
    if live in ("primary", "leader", "standby_leader"):
        return "primary"
    return "replica" if declared == "primary" else declared


def _service(
    cluster: PgCluster, definition: Mapping[str, Any], members: Sequence[_View]
) -> Service:
    params = cluster.vars
    if not definition.get("name") or not definition.get("port"):
        raise PillarError(
            f"cluster {cluster.name}: a service needs a name and a port: {definition}"
        )
    name = f"{cluster.name}-{definition['name']}"
    main = _select(name, "selector", definition.get("selector", "[]"), members)
    spare = _select(name, "backup", definition.get("backup"), members)
    return Service(
        name=name,
        bind=str(definition.get("ip") or "*"),
        port=int(definition["port"]),
        target=_target(params, definition.get("dest", "default")),
        check=str(definition.get("check") or "/"),
        check_port=int(params["patroni_port"]),
        tls=bool(params["patroni_ssl_enabled"]),
        balance=str(definition.get("balance") or "roundrobin"),
        maxconn=int(definition.get("maxconn") or 5000),
        options=str(definition.get("options") or _options(timing(params))),
        servers=tuple(
            Server(
                name=view.member.name,
                ip=view.member.ip,
                weight=int(view["pg_weight"]),
                backup=view in spare,
            )
            for view in members
            if view in main or view in spare
        ),
    )


def _select(service: str, key: str, expression: object, members: Sequence[_View]) -> list[_View]:
    if not expression:
        return []
    try:
        found = jmespath.search(str(expression), list(members))
    except JMESPathError as error:
        raise PillarError(
            f"service {service}: {key} {expression!r} is no JMESPath: {error}"
        ) from error
    if not isinstance(found, list) or not all(isinstance(view, _View) for view in found):
        raise PillarError(f"service {service}: {key} {expression!r} doesn't select members")
    return found


def _target(params: Mapping[str, Any], destination: object) -> int:
    if destination == "default":
        destination = params["pg_default_service_dest"]
    if str(destination).isdigit():
        return int(str(destination))
    # Without PgBouncer there is nobody but the server itself.
    if destination == "pgbouncer" and params["pgbouncer_enabled"]:
        return int(params["pgbouncer_port"])
    return int(params["pg_port"])


def _options(plan: Timing) -> str:
    inter, fastinter, downinter = map(_time, (plan.inter, plan.fastinter, plan.downinter))
    return (
        f"inter {inter} fastinter {fastinter} downinter {downinter} "
        f"rise {plan.rise} fall {plan.fall} on-marked-down shutdown-sessions "
        "slowstart 30s maxconn 3000 maxqueue 128"
    )


def _time(value: str) -> str:
    """Return a time as HAProxy reads it: it knows no fractions, and Pigsty's plans have `0.5s`."""
    number = value.removesuffix("s")
    if value.endswith("s") and "." in number and number.replace(".", "", 1).isdigit():
        return f"{round(float(number) * 1000)}ms"
    return value
