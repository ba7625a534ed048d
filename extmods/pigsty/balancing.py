"""HAProxy's servers as they live: what it says of them, and what it is told.

A member may be taken out of the balancing by hand (``drain``, ``maint``), in every HAProxy that
carries the cluster's services. Services that only a leader can answer are left alone: a replica
that is drained may be elected a moment later, and then all writes would find nobody.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pigsty.render import selection
from pigsty.render.services import BACKUP, Service

STATES = ("ready", "drain", "maint")
#: Bits of HAProxy's `srv_admin_state`: set by its configuration or by a person.
_MAINT, _DRAIN = 0x05, 0x08


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a service in HAProxy's files: who serves, or who does while nobody else can.

    Attributes:
        name: HAProxy's name of it.
        service: the service's name.
        port: that clients use.
        backup: whether it is the second part.
        leads: whether only a leader can answer its checks.
    """

    name: str
    service: str
    port: int
    backup: bool
    leads: bool


@dataclass(frozen=True, slots=True)
class Server:
    """A member behind a part of a service, as one HAProxy has it.

    Attributes:
        service: the service's name.
        port: that clients use.
        member: its name.
        backup: whether it serves only while nobody else does.
        host: the machine of that HAProxy.
        up: whether it passes its checks.
        state: ``ready``, ``drain`` or ``maint``.
        weight: its share.
        sessions: connections right now.
        check: what the last check found.
    """

    service: str
    port: int
    member: str
    backup: bool
    host: str
    up: bool
    state: str
    weight: int
    sessions: int
    check: str

    @property
    def serves(self) -> bool:
        """Whether it gets new connections once its part has its turn."""
        return self.up and self.state == "ready" and self.weight > 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "serves": self.serves}


def parts(services: Iterable[Service]) -> dict[str, Part]:
    """Return the parts of services by name."""
    found = {}
    for service in services:
        for backup in (False, True):
            asks = [server.asks for server in service.servers if server.backup is backup]
            if asks:
                name = service.name + (BACKUP if backup else "")
                leads = all(map(_leads, asks))
                found[name] = Part(name, service.name, service.port, backup, leads)
    return found


def _leads(asks: Sequence[selection.Question]) -> bool:
    return any(question.yes and selection.leads_only(question.path) for question in asks)


def parse(stat: str, states: str) -> list[dict[str, Any]]:
    """Return plain rows of servers out of HAProxy's answers.

    Args:
        stat: to ``show stat`` (CSV).
        states: to ``show servers state``: the other one hides that a server that is down is
            drained as well, and shows how far a slow start has come in place of the weight.
    """
    admin = {}
    for line in states.splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[0].isdigit():
            admin[fields[1], fields[3]] = (int(fields[6]), int(fields[7]))
    rows = []
    for row in csv.DictReader(stat.lstrip("# ").splitlines()):
        key = (row["pxname"], row["svname"])
        if key in admin:
            bits, weight = admin[key]
            rows.append(
                {
                    "part": key[0],
                    "member": key[1],
                    "up": row["status"].startswith(("UP", "DRAIN", "NOLB", "no check")),
                    "state": "maint" if bits & _MAINT else "drain" if bits & _DRAIN else "ready",
                    "weight": weight,
                    "sessions": int(row["scur"] or 0),
                    "check": " ".join(filter(None, (row["check_status"], row["check_code"]))),
                }
            )
    return rows


def servers(
    host: str, rows: Iterable[Mapping[str, Any]], known: Mapping[str, Part]
) -> list[Server]:
    """Return the servers of known parts, of what :func:`parse` returned on a host."""
    return [
        Server(
            service=known[row["part"]].service,
            port=known[row["part"]].port,
            member=row["member"],
            backup=known[row["part"]].backup,
            host=host,
            **{key: row[key] for key in ("up", "state", "weight", "sessions", "check")},
        )
        for row in rows
        if row["part"] in known
    ]


def due(
    found: Iterable[Server], member: str, state: str, known: Mapping[str, Part]
) -> list[tuple[str, str, str]]:
    """Return what it takes to bring a member into a state: host, part, and the state it leaves.

    ``ready`` concerns every part; to be taken out, those that not only a leader can answer.
    """
    names = {(part.service, part.backup): part for part in known.values()}
    changes = []
    for server in found:
        part = names[server.service, server.backup]
        concerned = server.member == member and (state == "ready" or not part.leads)
        if concerned and server.state != state:
            changes.append((server.host, part.name, server.state))
    return changes


def starved(found: Iterable[Server], member: str, known: Mapping[str, Part]) -> list[str]:
    """Return the services that would have nobody left without a member, with the HAProxy's host."""
    found = list(found)
    leads = {(part.service, part.backup) for part in known.values() if part.leads}
    left: dict[tuple[str, str], bool] = {}
    for server in found:
        stays = server.member != member or (server.service, server.backup) in leads
        key = (server.service, server.host)
        left[key] = left.get(key, False) or (stays and server.serves)
    hit = {
        (server.service, server.host)
        for server in found
        if server.member == member
        and server.serves
        and (server.service, server.backup) not in leads
    }
    return [f"{service} on {host}" for service, host in sorted(hit) if not left[service, host]]


def merged(found: Iterable[Server]) -> list[dict[str, Any]]:
    """Return a row for each member behind each service: what all HAProxies say, or who differs."""
    groups: dict[tuple[str, int, bool, str], list[Server]] = {}
    for server in found:
        key = (server.service, server.port, server.backup, server.member)
        groups.setdefault(key, []).append(server)
    return [
        {
            "service": service,
            "port": port,
            "member": member,
            "role": "backup" if backup else "",
            "status": _told(group, lambda s: "up" if s.up else "down"),
            "state": _told(group, lambda s: s.state),
            "weight": _told(group, lambda s: str(s.weight)),
            "sessions": sum(server.sessions for server in group),
        }
        for (service, port, backup, member), group in groups.items()
    ]


def _told(group: Sequence[Server], value: Callable[[Server], str]) -> str:
    """Return what a value is everywhere, or which hosts have which."""
    hosts: dict[str, list[str]] = {}
    for server in group:
        hosts.setdefault(value(server), []).append(server.host)
    if len(hosts) == 1:
        return next(iter(hosts))
    return "; ".join(f"{told} on {', '.join(where)}" for told, where in sorted(hosts.items()))
