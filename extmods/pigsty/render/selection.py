"""Who stands behind a service, in which role: selectors, backups and health checks together.

``pg_role`` in a selector means the **live** role. A file that holds after every failover can't ask
who leads now, so each member is looked at twice: as the one that leads, and as one that follows.
Where the answer depends on it, the member stands behind the service with a check that only
that role passes. HAProxy then does the rest, without anybody who tells it of a failover.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from pigsty.errors import PillarError
from pigsty.topology import PgInstance

#: Paths of Patroni's REST API that only a leader answers with 200, and those that only a replica
#: does. All others may be answered by both.
LEADS = frozenset(
    {"/", "/primary", "/master", "/leader", "/read-write", "/standby-leader", "/standby_leader"}
)
FOLLOWS = frozenset({"/replica", "/sync", "/synchronous", "/async", "/asynchronous", "/quorum"})
#: What a replica says to a question that leaders answer as well.
_REPLICAS_OF = {
    "/read-only": "/replica",
    "/read-only-sync": "/sync",
    "/read-only-synchronous": "/sync",
    "/read-only-quorum": "/quorum",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A request to Patroni's REST API: ``yes`` tells whether 200 is the good answer."""

    path: str
    yes: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """A member's place behind a service.

    Attributes:
        member: the member.
        backup: whether it serves only while no other member does.
        asks: what its Patroni has to answer, all of it.
    """

    member: PgInstance
    backup: bool
    asks: tuple[Question, ...]


def leads_only(check: str) -> bool:
    """Return whether a health check can be passed by a leader only."""
    return check.partition("?")[0] in LEADS


def places(
    service: str, check: str, selector: object, backup: object, members: Sequence[PgInstance]
) -> list[Place]:
    """Return the places behind a service, those that serve first; a member may have one of each.

    Args:
        service: its name, for errors.
        check: path of Patroni's REST API that the service asks.
        selector: JMESPath over the members' variables: who serves.
        backup: JMESPath: who serves only if nobody else does; it goes before ``selector``.
        members: of the cluster.

    Raises:
        PillarError: an expression is no JMESPath over a list.
    """
    expressions = (("selector", selector), ("backup", backup))
    # Without the role in it an expression says the same whoever leads.
    fixed = not any("pg_role" in str(expression) for _, expression in expressions)
    leaders = [""] if fixed else [member.name for member in members]
    scenes = {leader: _scene(service, expressions, members, leader) for leader in leaders}
    found = [
        place
        for member in members
        for place in _places(check, member, *_roles(member, members, scenes, fixed=fixed))
    ]
    return sorted(found, key=lambda place: place.backup)


def _roles(
    member: PgInstance,
    members: Sequence[PgInstance],
    scenes: Mapping[str, Mapping[str, bool]],
    *,
    fixed: bool,
) -> tuple[bool | None, bool | None]:
    """Return what a member is while it leads and while it follows: backup or not, None for out."""
    if fixed:
        return (scenes[""].get(member.name),) * 2
    # While it follows somebody else leads: the preferred one, or the first after it. A lone member
    # never follows.
    others = sorted(members, key=lambda other: other.role != "primary")
    leader = next((other.name for other in others if other is not member), member.name)
    return scenes[member.name].get(member.name), scenes[leader].get(member.name)


def _places(
    check: str, member: PgInstance, leading: bool | None, following: bool | None
) -> Iterator[Place]:
    """Yield a member's places; its check is narrowed to a role where the other one has none."""
    path = check.partition("?")[0]
    if path in LEADS:
        following = leading
    elif path in FOLLOWS:
        leading = following
    if leading == following:
        if leading is not None:
            yield Place(member, leading, (Question(check),))
        return
    for role, backup, other in (("leader", leading, following), ("replica", following, leading)):
        if backup is not None:
            # A backup that would serve in its other role is asked only when it doesn't.
            plain = backup and other is not None
            yield Place(member, backup, (Question(check),) if plain else _narrowed(check, role))


def _narrowed(check: str, role: str) -> tuple[Question, ...]:
    """Return what only a member of a role answers as wanted."""
    path, mark, query = check.partition("?")
    if role == "replica" and path in _REPLICAS_OF:
        return (Question(f"{_REPLICAS_OF[path]}{mark}{query}"),)
    return Question(check), Question("/leader", yes=role == "leader")


def _scene(
    service: str,
    expressions: Sequence[tuple[str, object]],
    members: Sequence[PgInstance],
    leader: str,
) -> dict[str, bool]:
    """Return who stands behind a service while a member leads, and whether as a backup."""
    views = [_View(member, member.name == leader) for member in members]
    chosen: dict[str, bool] = {}
    for key, expression in expressions:
        for view in _select(service, key, expression, views):
            chosen[view.member.name] = key == "backup"
    return chosen


class _View(Mapping[str, Any]):
    """A member's variables as expressions see them, with the role that it is looked at in."""

    def __init__(self, member: PgInstance, leads: bool) -> None:
        self.member = member
        declared = "replica" if member.role == "primary" else member.role
        self._role = "primary" if leads else declared

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


def _select(service: str, key: str, expression: object, views: Sequence[_View]) -> list[_View]:
    if not expression:
        return []
    try:
        found = jmespath.search(str(expression), list(views))
    except JMESPathError as error:
        raise PillarError(
            f"service {service}: {key} {expression!r} is no JMESPath: {error}"
        ) from error
    if not isinstance(found, list) or not all(isinstance(view, _View) for view in found):
        raise PillarError(f"service {service}: {key} {expression!r} doesn't select members")
    return found
