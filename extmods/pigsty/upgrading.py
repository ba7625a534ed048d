"""A minor upgrade of a cluster: who needs what, and in which order, decided before it begins.

Replicas first, one at a time; then the lead moves to one of them, and the old leader comes last. It
is decided by what is true on the machines, so that an upgrade that was cut off goes on where it
stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pigsty import operations
from pigsty.clients.patroni import Member
from pigsty.operations import OperationRefused, Snapshot
from pigsty.wording import counted

Action = Literal["packages", "restart", "switchover"]


@dataclass(frozen=True, slots=True)
class Version:
    """PostgreSQL's packages on a member's machine.

    Attributes:
        installed: version of the server's package.
        candidate: the one that the machine's sources have, the same when there is none newer.
        newer: packages of PostgreSQL for which there is a newer version.
        stale: whether the server that runs was started from files that are no more there.
    """

    installed: str
    candidate: str
    newer: tuple[str, ...]
    stale: bool

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Version:
        """Read what the module `pigsty_upgrade` returns."""
        return cls(
            str(data["installed"]),
            str(data["candidate"]),
            tuple(str(name) for name in data["newer"]),
            bool(data["stale"]),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        action: ``packages`` (installed; the server runs on), ``restart`` or ``switchover``.
        member: to whom; of a switchover, who leads afterwards.
    """

    action: Action
    member: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What will be done.

    Attributes:
        steps: in order; none when all is new.
        sentences: the same for a person.
    """

    steps: tuple[Step, ...]
    sentences: tuple[str, ...]


def upgrade(snapshot: Snapshot, versions: Mapping[str, Version]) -> Upgrade:
    """Return what it takes to have every member run the newest packages.

    Args:
        snapshot: the cluster now.
        versions: of every member, by its name.

    Raises:
        OperationRefused: the cluster is paused, has no healthy leader, or somebody is unknown: an
            upgrade of some would leave it between two versions without anybody to notice.
    """
    operations.not_paused(snapshot)
    leader = snapshot.leader
    if leader is None or not snapshot.healthy(leader):
        raise OperationRefused(
            f"{snapshot.cluster} has no healthy leader: `pigsty pgsql list {snapshot.cluster}`"
        )
    silent = [m.name for m in snapshot.members if not snapshot.healthy(m) or m.name not in versions]
    if silent:
        raise OperationRefused(
            f"{', '.join(silent)}: not healthy, or its minion doesn't answer. An upgrade restarts "
            "everybody in turn, so all have to be there"
        )
    due = [m for m in (*snapshot.replicas, leader) if _due(versions[m.name])]
    if not due:
        return Upgrade((), (f"all members of {snapshot.cluster} run {_now(versions)}",))
    steps: list[Step] = []
    for member in due:
        if member is leader and (heir := _heir(snapshot)):
            steps.append(Step("switchover", heir))
        if versions[member.name].newer:
            steps.append(Step("packages", member.name))
        steps.append(Step("restart", member.name))
    return Upgrade(tuple(steps), tuple(_sentence(step, versions, leader) for step in steps))


def _due(version: Version) -> bool:
    return bool(version.newer) or version.stale


def _heir(snapshot: Snapshot) -> str:
    """Return who can take the lead, the least lagging first; "" if nobody can."""
    try:
        return operations.switchover(snapshot).members[0]
    except OperationRefused:
        return ""


def _now(versions: Mapping[str, Version]) -> str:
    return ", ".join(sorted({version.installed for version in versions.values()}))


def _sentence(step: Step, versions: Mapping[str, Version], leader: Member) -> str:
    if step.action == "switchover":
        return f"{leader.name} hands the lead over to {step.member}: writes wait for a moment"
    if step.action == "packages":
        version = versions[step.member]
        packages = counted(len(version.newer), "package")
        moves = f"PostgreSQL {version.installed} → {version.candidate}"
        return f"{step.member}: {packages}, {moves}"
    return f"{step.member}: PostgreSQL restarts"
