"""A PostgreSQL cluster as its keys in the DCS show it: the truth about who is in it and who leads.

Patroni's members see the same through their REST APIs, but those of a cluster that is down answer
nobody, and a cluster that the inventory has forgotten has no addresses to ask.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

#: Seconds for which Patroni keeps the slot of a member that is gone, by its own default.
SLOTS_TTL = 1800
#: The keys that a :class:`Cluster` is made of; below ``members/`` there is one for each member.
KEYS = ("config", "initialize", "leader", "sync")
MEMBERS = "members/"
#: Keys that speak of a leader, or of how far one was; without them a restored member is elected
#: although it is behind what they say.
LEADERSHIP = ("failover", "failsafe", "leader", "optime/leader", "status", "sync")


@dataclass(frozen=True, slots=True)
class Member:
    """A member with a key of its own: its Patroni lives, or lived until a moment ago.

    Attributes:
        name: instance name.
        host: address of its PostgreSQL.
        api_port: port of its REST API.
        api_tls: whether that speaks TLS.
        role: as it says itself.
        state: as it says itself: ``running``, ``stopped``, ``creating replica`` …
        nofailover: it is never to lead.
        nosync: no commit waits for it.
        upstream: the member that it follows in the place of the leader, or "".
    """

    name: str
    host: str
    api_port: int
    api_tls: bool
    role: str
    state: str
    nofailover: bool
    nosync: bool
    upstream: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's keys.

    Attributes:
        name: the cluster's name.
        prefix: of its keys.
        initialized: it was bootstrapped once.
        leader: who holds the leader key, "" when nobody does.
        members: by name.
        paused: Patroni's maintenance mode.
        synchronous: commits wait for a second member.
        standbys: the members that they wait for.
        slots_ttl: seconds for which the slot of a member that is gone is kept.
    """

    name: str
    prefix: str
    initialized: bool
    leader: str
    members: tuple[Member, ...]
    paused: bool
    synchronous: bool
    standbys: tuple[str, ...]
    slots_ttl: int

    @property
    def exists(self) -> bool:
        """Whether the DCS knows the cluster at all."""
        return bool(self.initialized or self.leader or self.members)

    def member(self, name: str) -> Member | None:
        """Return a member by name, or None."""
        return next((member for member in self.members if member.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cluster:
        """Return what :meth:`to_dict` made plain (it has travelled as JSON)."""
        rows = tuple(Member(**row) for row in data["members"])
        return cls(**{**data, "members": rows, "standbys": tuple(data["standbys"])})


def parse(name: str, prefix: str, keys: Mapping[str, str]) -> Cluster:
    """Return the cluster that some keys describe.

    Args:
        name: the cluster's name.
        prefix: where its keys are.
        keys: their values by name, without the prefix.
    """
    config, sync = _json(keys.get("config")), _json(keys.get("sync"))
    rows = [
        _member(key.removeprefix(MEMBERS), _json(value))
        for key, value in keys.items()
        if key.startswith(MEMBERS)
    ]
    ttl = config.get("member_slots_ttl")
    return Cluster(
        name=name,
        prefix=prefix,
        initialized=bool(keys.get("initialize")),
        leader=keys.get("leader", ""),
        members=tuple(sorted(rows, key=lambda member: member.name)),
        paused=bool(config.get("pause")),
        synchronous=config.get("synchronous_mode") not in (None, False, "off", "false"),
        standbys=tuple(word for word in str(sync.get("sync_standby") or "").split(",") if word),
        slots_ttl=ttl if isinstance(ttl, int) else SLOTS_TTL,
    )


def residents(pairs: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return who lives where, by address: cluster and name of each member.

    Args:
        pairs: keys below a namespace, whole, with their values.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for key, value in pairs:
        path, mark, name = key.rpartition(f"/{MEMBERS}")
        if mark and name:
            cluster = path.rpartition("/")[2]
            if cluster.isdigit():  # a group of Citus
                cluster = "/".join(path.split("/")[-2:])
            found.setdefault(_member(name, _json(value)).host, []).append((cluster, name))
    return found


def _member(name: str, data: Mapping[str, Any]) -> Member:
    api = urlsplit(str(data.get("api_url") or ""))
    tags = data.get("tags") or {}
    return Member(
        name=name,
        host=urlsplit(str(data.get("conn_url") or "")).hostname or api.hostname or "",
        api_port=api.port or 8008,
        api_tls=api.scheme == "https",
        role=str(data.get("role", "")),
        state=str(data.get("state", "")),
        nofailover=bool(tags.get("nofailover")),
        nosync=bool(tags.get("nosync")),
        upstream=str(tags.get("replicatefrom") or ""),
    )


def _json(text: str | None) -> dict[str, Any]:
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
