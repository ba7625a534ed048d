"""What Patroni keeps of each cluster in its store: who leads, who is there; and what has changed.

Pure: keys and values come in, views and changes go out. Where they come from (etcd, Consul) is the
matter of :mod:`pigsty.clients`. Patroni's keys, under its namespace and the cluster's scope::

    /pg/pg-test/leader              pg-test-1           (gone while nobody leads)
    /pg/pg-test/members/pg-test-1   {"state": "running", "role": "primary", "timeline": 3, …}

A group of a Citus cluster has its number as one more step, ``/pg/<shard>/<group>/leader``; here it
is called ``<shard>:<group>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from pigsty.clients.patroni import RUNNING

#: Longest text that is taken from a member's own value.
_TEXT = 64
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member by its own word.

    Attributes:
        state: ``running``, ``starting``, ``stopped`` …
        role: ``primary``, ``replica``, ``standby_leader`` …
        timeline: timeline of its WAL, None if it doesn't say.
    """

    state: str
    role: str
    timeline: int | None

    @property
    def running(self) -> bool:
        """Whether its PostgreSQL answers queries."""
        return self.state in RUNNING

    @classmethod
    def parse(cls, text: str) -> MemberView:
        """Read a member's value; what is no JSON object gives a member of unknown state."""
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            data = {}
        timeline = data.get("timeline")
        return cls(
            state=str(data.get("state", "unknown"))[:_TEXT],
            role=str(data.get("role", "unknown"))[:_TEXT],
            timeline=timeline if type(timeline) is int else None,
        )


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster at one moment.

    Attributes:
        leader: name of the member that holds the leader key, "" while nobody does.
        last: name of the last leader that is known, "" before the first.
        members: by name.
    """

    leader: str = ""
    last: str = ""
    members: Mapping[str, MemberView] = field(default_factory=lambda: _NOTHING)

    @property
    def timeline(self) -> int | None:
        """Timeline of the leader; None without one, or while it doesn't say."""
        member = self.members.get(self.leader)
        return member.timeline if member else None


@dataclass(frozen=True, slots=True)
class Change:
    """What has become different in one cluster.

    Attributes:
        kind: ``leader`` or ``member``.
        cluster: its scope.
        data: the event's payload (see :data:`pigsty.events.TAGS`).
    """

    kind: Literal["leader", "member"]
    cluster: str
    data: Mapping[str, Any]


Views = Mapping[str, ClusterView]


@dataclass(frozen=True, slots=True)
class Key:
    """What a key of the store is about: ``part`` is ``leader`` or ``member``."""

    cluster: str
    part: Literal["leader", "member"]
    member: str = ""


def parse_key(namespace: str, key: str) -> Key | None:
    """Return what a key is about, or None for the many that don't matter here.

    Args:
        namespace: Patroni's, for example ``/pg/``.
        key: the whole key.
    """
    prefix = f"/{namespace.strip('/')}/"
    rest = f"/{key.lstrip('/')}"
    if not rest.startswith(prefix):
        return None
    steps = rest[len(prefix) :].split("/")
    if len(steps) > 1 and steps[1].isdigit():  # a group of Citus
        steps[:2] = [f"{steps[0]}:{steps[1]}"]
    match steps:
        case [cluster, "leader"] if cluster:
            return Key(cluster, "leader")
        case [cluster, "members", member] if cluster and member:
            return Key(cluster, "member", member)
        case _:
            return None


def read(namespace: str, pairs: Iterable[tuple[str, str]]) -> dict[str, ClusterView]:
    """Return the views of all clusters from everything that stands below the namespace."""
    views: dict[str, ClusterView] = {}
    for key, value in pairs:
        update(views, namespace, key, value)
    return views


def update(views: dict[str, ClusterView], namespace: str, key: str, value: str | None) -> None:
    """Take one key's new value into the views (None: the key is gone)."""
    about = parse_key(namespace, key)
    if about is None:
        return
    view = views.get(about.cluster, ClusterView())
    if about.part == "leader":
        view = replace(view, leader=value or "", last=value or view.last)
    else:
        members = dict(view.members)
        members.pop(about.member, None)
        if value is not None:
            members[about.member] = MemberView.parse(value)
        view = replace(view, members=MappingProxyType(members))
    views[about.cluster] = view


def remember(old: Views, new: Views) -> dict[str, ClusterView]:
    """Return new views with the last leader of the old ones where nobody leads now."""
    return {
        cluster: view if view.last or cluster not in old else replace(view, last=old[cluster].last)
        for cluster, view in new.items()
    }


def changes(old: Views, new: Views) -> tuple[Change, ...]:
    """Return what is different, by cluster: a leader's change before its members'.

    A leader that was lost is no change until another one leads: while nobody does, there is nothing
    to follow. A cluster whose keys are all gone has lost its members one by one.
    """
    found: list[Change] = []
    for cluster in sorted(old.keys() | new.keys()):
        before, after = old.get(cluster, ClusterView()), new.get(cluster, ClusterView())
        if before is after:
            continue
        if after.leader and after.leader != before.last:
            found.append(
                Change(
                    "leader",
                    cluster,
                    {
                        "cluster": cluster,
                        "leader": after.leader,
                        "previous": before.last,
                        "timeline": after.timeline,
                    },
                )
            )
        found += _members(cluster, before.members, after.members)
    return tuple(found)


def _members(
    cluster: str, before: Mapping[str, MemberView], after: Mapping[str, MemberView]
) -> list[Change]:
    """Return who came, who left, and whose state is another one."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            what = "join"
        elif new is None:
            what = "leave"
        elif old.state != new.state:
            what = "state"
        else:
            continue
        data = {
            "cluster": cluster,
            "member": name,
            "change": what,
            "state": new.state if new else "gone",
        }
        found.append(Change("member", cluster, data))
    return found
