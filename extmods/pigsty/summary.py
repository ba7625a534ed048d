"""What a person wants to see of a deployment: members with their live roles, and how to connect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

from pigsty.clients.patroni import Cluster as LiveCluster
from pigsty.clients.patroni import Member as LiveMember
from pigsty.render import services
from pigsty.topology import PgCluster, PgInstance, Topology

#: State of a declared member whose Patroni doesn't answer.
UNREACHABLE = "unreachable"
#: The profile whose passwords are public, so that they may be shown.
SANDBOX = "sandbox"

_LEADING = {"leader": "primary", "standby_leader": "standby_leader"}


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a cluster, as declared and as it lives.

    Attributes:
        cluster: cluster name.
        member: instance name.
        host: address.
        declared: role in the inventory; "" when the inventory doesn't have the member.
        role: live role: ``primary``, ``standby_leader``, ``replica``, ``sync_standby`` or
            ``quorum_standby``; "" when unknown.
        state: Patroni's state, or ``unreachable``.
        timeline: timeline of its WAL, None when unknown.
        lag: bytes behind the leader; None for the leader and where unknown.
        pending_restart: settings wait for a restart.
        paused: the cluster is in maintenance mode: nobody takes over.
    """

    cluster: str
    member: str
    host: str
    declared: str
    role: str
    state: str
    timeline: int | None
    lag: int | None
    pending_restart: bool
    paused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def members(cluster: PgCluster, answers: Mapping[str, LiveCluster | None]) -> list[MemberRow]:
    """Combine what is declared with what the members' Patronis said.

    Args:
        cluster: a declared cluster.
        answers: by address, the cluster as that member sees it; None when it didn't answer.

    Returns:
        The declared members in order, then those that live but aren't declared.
    """
    view = newest(answer for answer in answers.values() if answer is not None)
    live = {member.name: member for member in view.members} if view else {}
    maintained = view is not None and view.paused
    rows = [
        _row(cluster.name, member, live.get(member.name), answers.get(member.ip) is not None)
        for member in cluster.members
    ]
    declared = {member.name for member in cluster.members}
    rows += [_row(cluster.name, None, m, True) for m in live.values() if m.name not in declared]
    return [replace(row, paused=maintained) for row in rows]


def paused(cluster: str) -> str:
    """Return what a person has to know of a cluster that is paused."""
    return (
        f"{cluster} is paused: nobody takes over from a leader that fails, until "
        f"`pigsty pgsql resume {cluster}`"
    )


def newest(views: Iterator[LiveCluster]) -> LiveCluster | None:
    """Return the view that knows most: one with a leader, on the highest timeline.

    A member that is cut off from the DCS may still show what it knew last.
    """
    return max(views, key=_freshness, default=None)


def _freshness(view: LiveCluster) -> tuple[bool, int]:
    leader = view.leader
    return leader is not None, max((member.timeline or 0 for member in view.members), default=0)


def _row(
    cluster: str, declared: PgInstance | None, live: LiveMember | None, answers: bool
) -> MemberRow:
    if declared is None and live is None:
        raise ValueError("a member is declared, or lives, or both")
    name = declared.name if declared else live.name if live else ""
    host = declared.ip if declared else live.host if live else ""
    role = declared.role if declared else ""
    if live is None or not answers:
        # Its key in the DCS outlives a dead member by up to the ttl: what it says is the past.
        state = UNREACHABLE if not answers else "absent"
        return MemberRow(cluster, name, host, role, "", state, None, None, False)
    return MemberRow(
        cluster=cluster,
        member=name,
        host=host,
        declared=role,
        role=_LEADING.get(live.role, live.role),
        state=live.state,
        timeline=live.timeline,
        lag=live.lag,
        pending_restart=live.pending_restart,
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """A way to connect to a database.

    Attributes:
        cluster: cluster name.
        service: ``primary``, ``replica`` and so on.
        port: port of the service.
        database: database name.
        user: who connects.
        url: connection string for libpq, to be pasted after ``psql``; with the password only when
            that is public.
        purpose: what the service is for.
    """

    cluster: str
    service: str
    port: int
    database: str
    user: str
    url: str
    purpose: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


#: What Pigsty's own services are for.
PURPOSES: Mapping[str, str] = {
    "primary": "read and write, through the pool",
    "replica": "read only, through the pool",
    "default": "read and write, straight to PostgreSQL",
    "offline": "long queries, straight to PostgreSQL",
}


def connections(topology: Topology, cluster: PgCluster) -> list[Connection]:
    """Return how to reach each database of a cluster through each of its services.

    Every node that carries the services carries all of them: all nodes are named, and libpq takes
    the first that answers. A service without a server (no member for offline queries) is left out.

    Args:
        topology: the deployment.
        cluster: one of its clusters.

    Returns:
        Connections, by database and service; empty for a cluster without a database of its own.
    """
    parameters = cluster.vars
    public = parameters.get("pigsty_profile") == SANDBOX
    users = {user["name"]: user for user in parameters.get("pg_users") or ()}
    own = tuple(member.ip for member in cluster.members)
    hosts = services.providers(topology, cluster) or own
    ports = _ports(cluster)
    found = []
    for database in parameters.get("pg_databases") or ():
        if database.get("state") == "absent":
            continue
        user = _user(database, users)
        password = users.get(user, {}).get("password", "") if public else ""
        for name, port in ports.items():
            found.append(
                Connection(
                    cluster=cluster.name,
                    service=name,
                    port=port,
                    database=database["name"],
                    user=user,
                    url=_url(hosts, port, database["name"], user, str(password or "")),
                    purpose=PURPOSES.get(name, ""),
                )
            )
    return found


def _user(database: Mapping[str, Any], users: Mapping[str, Any]) -> str:
    owner = database.get("owner")
    if owner in users:
        return str(owner)
    logins = (name for name, user in users.items() if user.get("login", True) is not False)
    return str(next(logins, owner or "postgres"))


def _ports(cluster: PgCluster) -> dict[str, int]:
    prefix = f"{cluster.name}-"
    return {
        service.name.removeprefix(prefix): service.port
        for service in services.services(cluster)
        if service.servers
    }


def _url(hosts: Sequence[str], port: int, database: str, user: str, password: str) -> str:
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    where = ",".join(f"{host}:{port}" for host in hosts)
    return f"postgres://{who}@{where}/{quote(database, safe='')}"
