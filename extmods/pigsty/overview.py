"""One cluster on one page: what is declared of it, and how its members, services, backups live.

Pure: the command line asks, everybody at once; what nobody answered is told in place of the answer
and keeps nothing else from being shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pigsty import backups, summary
from pigsty.balancing import Server
from pigsty.clients.patroni import Cluster as View
from pigsty.clients.patroni import Member, Status
from pigsty.render import libraries, services
from pigsty.render.dynamic import MANAGED
from pigsty.sql import desired
from pigsty.topology import PgCluster, Topology

#: Settings of the DCS that decide how the cluster behaves when something fails.
SETTINGS = (
    "ttl",
    "loop_wait",
    "retry_timeout",
    "maximum_lag_on_failover",
    "synchronous_mode",
    "synchronous_mode_strict",
    "synchronous_node_count",
    "failsafe_mode",
)
ATTRIBUTES = ("superuser", "createdb", "createrole", "replication", "bypassrls")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a living cluster and its machines said; all of it may be missing.

    Attributes:
        views: by address, the cluster as that member's Patroni sees it; None: silent.
        statuses: by address, what that Patroni says of itself.
        configs: by address, the dynamic configuration as that Patroni has it.
        servers: what the HAProxies said.
        silent: hosts of HAProxies that said nothing, and why.
        backup: what the leader's ``pigsty_pgbackrest.look`` returned.
        addresses: by address of a member, all addresses that its machine has now.
        unknown: ``backup``, ``vip``, ``services``: why it couldn't be found out.
    """

    views: Mapping[str, View | None] = field(default_factory=dict)
    statuses: Mapping[str, Status | None] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    servers: Sequence[Server] = ()
    silent: Mapping[str, str] = field(default_factory=dict)
    backup: Mapping[str, Any] | None = None
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A service, and whom it leads to.

    Attributes:
        service: its name.
        port: that clients use.
        to: what listens behind it, ``pgbouncer:6432``.
        members: that may stand behind it, by the inventory; their turn depends on live roles.
        now: by host of a HAProxy, the members that get its new connections.
    """

    service: str
    port: int
    to: str
    members: tuple[str, ...]
    now: Mapping[str, tuple[str, ...]]

    @property
    def told(self) -> str:
        """Whom it leads to in words: once if all HAProxies agree, else host by host."""
        if not self.now:
            return "unknown"
        words = {host: ", ".join(members) or "NOBODY" for host, members in self.now.items()}
        if len(set(words.values())) == 1:
            return next(iter(words.values()))
        return "; ".join(f"{told} on {host}" for host, told in words.items())


@dataclass(frozen=True, slots=True)
class Page:
    """The page.

    Attributes:
        cluster: its name.
        leader: name of the member that leads, "" for none or unknown.
        paused: nobody takes over from a leader that fails.
        members: rows of :func:`pigsty.summary.members`, with ``tags`` and ``waiting``: the settings
            that wait for a restart.
        services: where clients connect to.
        users: declared roles, without passwords.
        databases: declared databases.
        extensions: ``libraries``, ``packages`` and ``everywhere``, as declared.
        backup: ``enabled``, and what the repository holds, or ``unknown``.
        settings: rows ``setting``, ``value``, ``by``; empty where nobody told.
        vip: the floating address, its ``holders``, or ``unknown``; None without one.
        notes: what a person should know, in sentences.
    """

    cluster: str
    leader: str
    paused: bool
    members: tuple[dict[str, Any], ...]
    services: tuple[Service, ...]
    users: tuple[dict[str, Any], ...]
    databases: tuple[dict[str, Any], ...]
    extensions: Mapping[str, Any]
    backup: Mapping[str, Any]
    settings: tuple[dict[str, Any], ...]
    vip: Mapping[str, Any] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def leader(views: Iterable[View | None]) -> Member | None:
    """Return who leads, by the view that knows most; None where nobody does or tells."""
    view = summary.newest(view for view in views if view is not None)
    return view.leader if view else None


def page(topology: Topology, cluster: PgCluster, seen: Seen) -> Page:
    """Put the page together.

    Args:
        topology: the deployment.
        cluster: one of its clusters.
        seen: how it lives.

    Raises:
        PillarError: the inventory's services or objects can't be understood.
    """
    leads = leader(seen.views.values())
    view = summary.newest(view for view in seen.views.values() if view is not None)
    paused = view is not None and view.paused
    name = leads.name if leads else ""
    members = _members(cluster, seen, view)
    found = tuple(_service(cluster, service, seen) for service in services.services(cluster))
    backup = _backup(cluster, seen, leads)
    vip = _vip(cluster, seen, name)
    return Page(
        cluster=cluster.name,
        leader=name,
        paused=paused,
        members=tuple(members),
        services=found,
        users=tuple(_users(topology, cluster)),
        databases=tuple(_databases(topology, cluster)),
        extensions=_extensions(topology, cluster),
        backup=backup,
        settings=tuple(_settings(_config(seen, leads))),
        vip=vip,
        notes=tuple(_notes(cluster.name, members, found, seen, backup, vip, paused=paused)),
    )


def _members(cluster: PgCluster, seen: Seen, view: View | None) -> list[dict[str, Any]]:
    tags = {member.name: dict(member.tags) for member in view.members} if view else {}
    rows = []
    for row in summary.members(cluster, seen.views):
        status = seen.statuses.get(row.host)
        # What waits reaches the DCS a loop later; the member itself knows it at once, by name.
        waiting = list(status.pending_restart) if status else ["?"] * row.pending_restart
        data = {**row.to_dict(), "pending_restart": bool(waiting)}
        there = row.state != summary.UNREACHABLE
        rows.append({**data, "waiting": waiting, "tags": tags.get(row.member, {}) if there else {}})
    return rows


def _service(cluster: PgCluster, service: services.Service, seen: Seen) -> Service:
    params = cluster.vars
    known = {int(params["pg_port"]): "postgres"}
    if params["pgbouncer_enabled"]:
        known[int(params["pgbouncer_port"])] = "pgbouncer"
    now: dict[str, tuple[str, ...]] = {}
    for host in dict.fromkeys(server.host for server in seen.servers):
        own = [s for s in seen.servers if (s.host, s.service) == (host, service.name)]
        # Backups have their turn when HAProxy counts nobody else who can serve.
        turn = [s for s in own if s.serves and not s.backup] or [s for s in own if s.serves]
        now[host] = tuple(server.member for server in turn)
    listens = known.get(service.target)
    return Service(
        service=service.name,
        port=service.port,
        to=f"{listens}:{service.target}" if listens else str(service.target),
        members=tuple(dict.fromkeys(server.name for server in service.servers)),
        now=now,
    )


def _users(topology: Topology, cluster: PgCluster) -> Iterable[dict[str, Any]]:
    entries = cluster.vars.get("pg_users") or ()
    pooled = {entry["name"] for entry in entries if entry.get("pgbouncer")}
    for role in desired.shown(topology, cluster.name)["users"]:
        yield {
            "name": role["name"],
            "login": role.get("login", True),
            "attributes": [key for key in ATTRIBUTES if role.get(key)],
            "roles": [of["name"] for of in role.get("roles", ())],
            "pool": role["name"] in pooled,
            "system": bool(role.get("system")),
            "comment": role.get("comment", ""),
        }


def _databases(topology: Topology, cluster: PgCluster) -> Iterable[dict[str, Any]]:
    params = cluster.vars
    entries = {entry["name"]: entry for entry in params.get("pg_databases") or ()}
    for database in desired.shown(topology, cluster.name)["databases"]:
        name = database["name"]
        pooled = params["pgbouncer_enabled"] and entries[name].get("pgbouncer") is not False
        yield {
            "name": name,
            "owner": database.get("owner") or params["pg_dbsu"],
            "extensions": _present(database.get("extensions", ())),
            "schemas": _present(database.get("schemas", ())),
            "pool": bool(pooled),
            "comment": database["comment"],
        }


def _present(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    return [entry["name"] for entry in entries if entry.get("state") != "absent"]


def _extensions(topology: Topology, cluster: PgCluster) -> dict[str, list[str]]:
    return {
        "libraries": libraries.effective(cluster.vars),
        "packages": [str(package) for package in cluster.vars.get("pg_extensions") or ()],
        "everywhere": _present(desired.shown(topology, cluster.name)["extensions"]),
    }


def _backup(cluster: PgCluster, seen: Seen, leads: Member | None) -> dict[str, Any]:
    if not cluster.vars["pgbackrest_enabled"]:
        return {"enabled": False}
    if leads is None or seen.backup is None:
        nobody = "nobody tells who leads" if leads is None else "its minion doesn't answer"
        return {"enabled": True, "unknown": seen.unknown.get("backup", nobody)}
    repository = backups.parse(seen.backup["info"], cluster.name)
    newest = repository.usable[-1] if repository.usable else None
    age = max(0, round(float(seen.backup["now"]) - newest.end)) if newest else None
    return {
        "enabled": True,
        "host": leads.host,
        "status": repository.message,
        "backups": len(repository.backups),
        "newest": newest.to_dict() if newest else None,
        "age": age,
        "window": repository.window,
    }


def _config(seen: Seen, leads: Member | None) -> Mapping[str, Any] | None:
    """Return the leader's dynamic configuration: who is cut off has an old one."""
    own = seen.configs.get(leads.host) if leads else None
    others = (config for config in seen.configs.values() if config is not None)
    return own if own is not None else next(others, None)


def _settings(config: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
    if config is None:
        return
    for name in SETTINGS:
        there = config.get(name) is not None
        value = config[name] if there else MANAGED[name]
        yield {"setting": name, "value": value, "by": "the DCS" if there else "Patroni's default"}
    upstream = config.get("standby_cluster") or {}
    if upstream:
        value = f"{upstream.get('host', '')}:{upstream.get('port', '')}".rstrip(":")
        yield {"setting": "standby_cluster", "value": value, "by": "the DCS"}


def _vip(cluster: PgCluster, seen: Seen, leader: str) -> dict[str, Any] | None:
    params = cluster.vars
    if not params["pg_vip_enabled"]:
        return None
    address = str(params["pg_vip_address"] or "")
    plain = address.partition("/")[0]
    names = {member.ip: member.name for member in cluster.members}
    holders = [names[host] for host, own in seen.addresses.items() if plain in own]
    data = {
        "address": address,
        "interface": str(params["pg_vip_interface"]),
        "holders": holders,
        "leads": holders == [leader],
    }
    if not seen.addresses:
        data["unknown"] = seen.unknown.get("vip", "no minion answers")
    return data


def _notes(
    cluster: str,
    members: Sequence[Mapping[str, Any]],
    found: Sequence[Service],
    seen: Seen,
    backup: Mapping[str, Any],
    vip: Mapping[str, Any] | None,
    *,
    paused: bool,
) -> Iterable[str]:
    """Say what isn't as it should be, and what couldn't be found out."""
    if all(row["state"] == summary.UNREACHABLE for row in members):
        yield f"no member of {cluster} can be reached: only what is declared is shown"
    elif not any(row["role"] in ("primary", "standby_leader") for row in members):
        yield f"{cluster} has no leader right now"
    if paused:
        yield summary.paused(cluster)
    waiting = [row["member"] for row in members if row["waiting"]]
    if waiting:
        yield (
            f"{', '.join(waiting)}: settings wait for a restart of PostgreSQL "
            f"(pigsty pgsql restart {cluster} --pending)"
        )
    for member in (row for row in members if row["member"] and not row["declared"]):
        yield f"{member['member']} lives, but the inventory doesn't have it"
    if "services" in seen.unknown:
        yield f"where the services lead to is unknown: {seen.unknown['services']}"
    for host, why in sorted(seen.silent.items()):
        yield f"HAProxy on {host}: {why}"
    for service in found:
        empty = [host for host, now in service.now.items() if service.members and not now]
        if empty:
            yield f"{service.service} leads to nobody on {', '.join(empty)}"
    if backup.get("unknown"):
        yield f"the state of the backups is unknown: {backup['unknown']}"
    elif backup["enabled"] and backup["newest"] is None:
        yield f"{cluster} has no backup: {backup['status']}"
    if vip is not None:
        yield from _vip_notes(vip)


def _vip_notes(vip: Mapping[str, Any]) -> Iterable[str]:
    holders = vip["holders"]
    if vip.get("unknown"):
        yield f"who holds {vip['address']} is unknown: {vip['unknown']}"
    elif not holders:
        yield f"no member that answers holds {vip['address']}"
    elif len(holders) > 1:
        yield f"{', '.join(holders)} hold {vip['address']} at once"
    elif not vip["leads"]:
        yield f"{holders[0]} holds {vip['address']}, but doesn't lead"
