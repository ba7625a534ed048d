"""What an operation on a living cluster would do, or why it must not: decided before it begins.

Every function takes a :class:`Snapshot` and returns a :class:`Plan`, or raises
:class:`OperationRefused`. Nothing here asks anybody anything; Patroni, which does the work, has the
last word and decides by what it sees then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pigsty.clients.patroni import Member
from pigsty.errors import PigstyError
from pigsty.targets import TargetError, nearest

#: Roles of members that hold every commit that was acknowledged in synchronous mode.
SYNCHRONOUS = frozenset({"sync_standby", "quorum_standby"})
#: Bytes of WAL that a candidate may lack where the dynamic configuration doesn't say: Patroni's own
#: default of ``maximum_lag_on_failover``.
LAG = 1048576

Action = Literal[
    "switchover",
    "failover",
    "restart",
    "reload",
    "reinit",
    "pause",
    "resume",
    "promote",
    "demote",
]


class OperationRefused(PigstyError):
    """The operation would harm, or can't work: nothing was changed."""

    exit_code = 4


class NotYet(OperationRefused):
    """Refused by what members told the DCS, up to a loop of Patroni ago: worth another look."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cluster at one moment.

    Attributes:
        cluster: its name.
        members: its members as the DCS has them.
        answering: names of the members whose Patroni answered just now.
        paused: Patroni's maintenance mode: nobody is promoted by itself.
        config: the dynamic configuration.
    """

    cluster: str
    members: tuple[Member, ...]
    answering: frozenset[str]
    paused: bool
    config: Mapping[str, Any]

    @property
    def leader(self) -> Member | None:
        """The member that holds the leader key; None while nobody does."""
        return next((member for member in self.members if member.leader), None)

    @property
    def replicas(self) -> tuple[Member, ...]:
        """All but the leader, by name."""
        return tuple(sorted((m for m in self.members if not m.leader), key=lambda m: m.name))

    @property
    def synchronous(self) -> bool:
        """Whether commits wait for a second member (``on`` and ``quorum`` alike)."""
        return self.config.get("synchronous_mode") not in (None, False, "off", "false")

    @property
    def quorum(self) -> bool:
        """Whether a commit is on some members, and no single one is sure to have it."""
        return str(self.config.get("synchronous_mode")).lower() == "quorum"

    @property
    def follows(self) -> str:
        """The hosts that a standby cluster follows; "" for a cluster that takes writes."""
        return str((self.config.get("standby_cluster") or {}).get("host") or "")

    @property
    def allowed_lag(self) -> int:
        """Bytes of WAL that a candidate may lack."""
        return int(self.config.get("maximum_lag_on_failover") or LAG)

    def member(self, name: str) -> Member:
        """Return a member by name.

        Raises:
            TargetError: the cluster has no such member.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise TargetError(
            nearest(name, [member.name for member in self.members], f"member of {self.cluster}")
        )

    def healthy(self, member: Member | None) -> bool:
        """Whether a member's Patroni answers and its PostgreSQL runs."""
        return member is not None and member.running and member.name in self.answering


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done.

    Attributes:
        action: the operation.
        cluster: on which cluster.
        members: whom it is done to, in order; for a switchover the candidate alone.
        leader: the leader before it, "" without one.
        sentence: what will be done.
        effect: what clients and operators notice.
        upstream: whom the cluster shall follow, as Patroni's ``standby_cluster``.
    """

    action: Action
    cluster: str
    members: tuple[str, ...]
    leader: str
    sentence: str
    effect: str
    upstream: Mapping[str, Any] | None = None


def switchover(snapshot: Snapshot, candidate: str | None = None) -> Plan:
    """Hand the lead to a healthy replica; the least lagging one without a ``candidate``.

    Raises:
        NotYet: nobody is fit to take it, and somebody may be after their Patroni's next loop.
        OperationRefused: there's nobody to hand it over, or to.
        TargetError: no such member.
    """
    not_paused(snapshot)
    leader = snapshot.leader
    if leader is None or not snapshot.healthy(leader):
        who = f"leader {leader.name} of {snapshot.cluster} is not healthy" if leader else ""
        raise OperationRefused(
            f"{who or snapshot.cluster + ' has no leader'}: there is nobody to hand over. "
            "Patroni elects another by itself, "
            f"`pigsty pgsql failover {snapshot.cluster}` makes it"
        )
    chosen = _candidate(snapshot, candidate, trusting=False)
    return Plan(
        action="switchover",
        cluster=snapshot.cluster,
        members=(chosen.name,),
        leader=leader.name,
        sentence=f"{leader.name} hands the lead of {snapshot.cluster} over to {chosen.name}",
        effect=(
            "writes wait for one or two seconds, transactions that are open on "
            f"{leader.name} are rolled back, and its connections are closed; nothing is lost"
        ),
    )


def failover(snapshot: Snapshot, candidate: str | None = None, *, force: bool = False) -> Plan:
    """Make a replica the leader without its predecessor's help.

    Args:
        snapshot: the cluster.
        candidate: who; the least lagging healthy replica by default.
        force: also while a healthy leader serves, in maintenance mode, and with a candidate that
            may lack commits.

    Raises:
        OperationRefused: a healthy leader serves, or nobody can take over.
        TargetError: no such member.
    """
    leader = snapshot.leader
    if not force:
        not_paused(snapshot, "or say --force")
        if snapshot.healthy(leader):
            raise OperationRefused(
                f"{leader.name if leader else ''} leads {snapshot.cluster} and is healthy: "
                f"`pigsty pgsql switchover {snapshot.cluster}` loses nothing; --force insists"
            )
    chosen = _candidate(snapshot, candidate, trusting=force)
    return Plan(
        action="failover",
        cluster=snapshot.cluster,
        members=(chosen.name,),
        leader=leader.name if leader else "",
        sentence=f"{chosen.name} is made leader of {snapshot.cluster}",
        effect=(
            f"commits that have not reached {chosen.name} are lost"
            + (f" (it lacks {chosen.lag} bytes)" if chosen.lag else "")
            + (f"; {leader.name} is demoted and rewound" if leader else "")
        ),
    )


def restart(snapshot: Snapshot, names: Sequence[str] = (), *, pending: bool = False) -> Plan:
    """Restart PostgreSQL member by member: replicas first, the leader last.

    Args:
        snapshot: the cluster.
        names: whom; all by default.
        pending: of these only the ones that wait for a restart.

    Returns:
        A plan whose ``members`` may be empty: nobody waits for a restart.

    Raises:
        OperationRefused: a member doesn't answer, or the cluster has no leader.
        TargetError: no such member.
    """
    not_paused(snapshot)
    if snapshot.leader is None:
        raise OperationRefused(
            f"{snapshot.cluster} has no leader: a restart of the others waits until it has one"
        )
    chosen = [snapshot.member(name) for name in dict.fromkeys(names)] or list(snapshot.members)
    if pending:
        chosen = [member for member in chosen if member.pending_restart]
    _all_answer(snapshot, chosen)
    ordered = sorted(chosen, key=lambda member: (member.leader, member.name))
    members = tuple(member.name for member in ordered)
    leads = any(member.leader for member in ordered)
    return Plan(
        action="restart",
        cluster=snapshot.cluster,
        members=members,
        leader=snapshot.leader.name,
        sentence=(
            f"PostgreSQL restarts on {', then '.join(members)}"
            if members
            else f"no member of {snapshot.cluster} waits for a restart"
        ),
        effect=(
            ""
            if not members
            else "connections to each are closed while it restarts; "
            + (
                f"writes wait while {snapshot.leader.name} does (it keeps the lead)"
                if leads
                else "writes go on"
            )
        ),
    )


def reload(snapshot: Snapshot, names: Sequence[str] = ()) -> Plan:
    """Make Patroni and PostgreSQL read their configuration again.

    Raises:
        OperationRefused: a member doesn't answer.
        TargetError: no such member.
    """
    chosen = [snapshot.member(name) for name in dict.fromkeys(names)] or list(snapshot.members)
    _all_answer(snapshot, chosen)
    members = tuple(sorted(member.name for member in chosen))
    return Plan(
        action="reload",
        cluster=snapshot.cluster,
        members=members,
        leader=_name(snapshot.leader),
        sentence=f"{', '.join(members)} read their configuration again",
        effect="nobody is disconnected",
    )


def reinit(snapshot: Snapshot, name: str) -> Plan:
    """Throw a replica's data away and copy them again from the cluster.

    Raises:
        OperationRefused: it leads, doesn't answer, or there is no leader to copy from.
        TargetError: no such member.
    """
    not_paused(snapshot)
    member = snapshot.member(name)
    if member.leader:
        raise OperationRefused(
            f"{name} leads {snapshot.cluster}: its data are the cluster's. Hand the lead over "
            f"first: pigsty pgsql switchover {snapshot.cluster}"
        )
    if not snapshot.healthy(snapshot.leader):
        raise OperationRefused(f"{snapshot.cluster} has no healthy leader to copy from")
    _all_answer(snapshot, [member])
    others = [m for m in snapshot.replicas if m.name != name and snapshot.healthy(m)]
    last = not others
    return Plan(
        action="reinit",
        cluster=snapshot.cluster,
        members=(name,),
        leader=_name(snapshot.leader),
        sentence=f"{name} throws its data away and copies those of {snapshot.cluster} again",
        effect=f"{name} serves nobody until the copy is done"
        + ("; meanwhile NO other member could take over from the leader" if last else ""),
    )


def pause(snapshot: Snapshot) -> Plan:
    """Begin maintenance: Patroni watches, but promotes and restarts nobody."""
    done = snapshot.paused
    return Plan(
        action="pause",
        cluster=snapshot.cluster,
        members=() if done else tuple(sorted(snapshot.answering)),
        leader=_name(snapshot.leader),
        sentence=f"{snapshot.cluster} is paused already" if done else f"pauses {snapshot.cluster}",
        effect=(
            ""
            if done
            else f"nobody takes over should the leader fail, until `pigsty pgsql resume "
            f"{snapshot.cluster}`"
        ),
    )


def resume(snapshot: Snapshot) -> Plan:
    """End maintenance: Patroni acts again."""
    to_do = snapshot.paused
    return Plan(
        action="resume",
        cluster=snapshot.cluster,
        members=tuple(sorted(snapshot.answering)) if to_do else (),
        leader=_name(snapshot.leader),
        sentence=(f"resumes {snapshot.cluster}" if to_do else f"{snapshot.cluster} is not paused"),
        effect="Patroni elects a leader again should one fail" if to_do else "",
    )


def obstacle(snapshot: Snapshot, member: Member, *, trusting: bool = False) -> str:
    """Return why a member can't take the lead; empty if it can.

    Args:
        snapshot: the cluster.
        member: a replica.
        trusting: it may lack commits; that it can be reached and elected is still asked.
    """
    if member.name not in snapshot.answering:
        return "its Patroni doesn't answer"
    if not member.running:
        return f"its PostgreSQL is {member.state}"
    if member.tags.get("nofailover"):
        return "it is never to lead (tag nofailover: an offline or delayed member)"
    if trusting:
        return ""
    leader = snapshot.leader
    if leader is not None and member.timeline != leader.timeline:
        return f"it is on timeline {member.timeline}, the leader on {leader.timeline}"
    if leader is not None and member.lag is None:
        return "how far it lags is unknown"
    if (member.lag or 0) > snapshot.allowed_lag:
        return f"it lags {member.lag} bytes behind, more than {snapshot.allowed_lag}"
    if snapshot.synchronous and member.role not in SYNCHRONOUS:
        return "it is no synchronous standby, so it may lack commits"
    if snapshot.quorum and not snapshot.healthy(leader):
        return (
            "in quorum mode a single member may lack a commit: Patroni elects one that has them "
            "all as soon as enough members answer; --force gives up what others may have"
        )
    return ""


def _candidate(snapshot: Snapshot, name: str | None, *, trusting: bool) -> Member:
    if name is not None:
        member = snapshot.member(name)
        if member.leader:
            raise OperationRefused(f"{name} leads {snapshot.cluster} already")
        if reason := obstacle(snapshot, member, trusting=trusting):
            refused = _refusal(snapshot, [member])
            raise refused(f"{name} can't take the lead: {reason}")
        return member
    reasons = {m.name: obstacle(snapshot, m, trusting=trusting) for m in snapshot.replicas}
    fit = [m for m in snapshot.replicas if not reasons[m.name]]
    if not fit:
        why = "; ".join(f"{who}: {reason}" for who, reason in reasons.items())
        refused = _refusal(snapshot, snapshot.replicas)
        raise refused(
            f"{snapshot.cluster} has no replica that can take the lead"
            + (f" ({why})" if why else "")
        )
    return min(fit, key=lambda m: (m.role not in SYNCHRONOUS, m.lag or 0, m.name))


def _refusal(snapshot: Snapshot, hindered: Sequence[Member]) -> type[OperationRefused]:
    """Return whether another look may find one of them fit: right after a switch of WAL all lag.

    That somebody is silent was seen just now, and a tag stays. Without a healthy leader nobody
    waits: Patroni does what can be done, and --force what can't.
    """
    looks_again = snapshot.healthy(snapshot.leader) and any(
        member.name in snapshot.answering and not member.tags.get("nofailover")
        for member in hindered
    )
    return NotYet if looks_again else OperationRefused


def not_paused(snapshot: Snapshot, otherwise: str = "") -> None:
    """Refuse what must not meet somebody's maintenance.

    Args:
        snapshot: the cluster.
        otherwise: what else to say than to end it.

    Raises:
        OperationRefused: the cluster is paused.
    """
    if snapshot.paused:
        raise OperationRefused(
            f"{snapshot.cluster} is paused: somebody does maintenance. End it first "
            f"(pigsty pgsql resume {snapshot.cluster}){' ' + otherwise if otherwise else ''}"
        )


def _all_answer(snapshot: Snapshot, members: Sequence[Member]) -> None:
    silent = sorted(m.name for m in members if m.name not in snapshot.answering)
    if silent:
        raise OperationRefused(
            f"{', '.join(silent)}: no answer from Patroni; name the members that shall be done"
        )


def _name(member: Member | None) -> str:
    return member.name if member else ""
