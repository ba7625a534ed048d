"""What follows from what: a table, and who of it is to run which states now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pigsty.plan import WHOLE
from pigsty.reactions.truth import HIGHSTATE, Decision, Step, Truth
from pigsty.scaling import FILTER, PEERS, PROVIDER, SERVICES

Where = Literal[
    "leader",
    "replicas",
    "members",
    "node",
    "peers",
    "zoned",
    "carriers",
    "stores",
    "clients",
    "named",
    "others",
    "infra",
]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One line of the table.

    Attributes:
        stage: follow-ups of one stage run at once; the next stage begins when they have ended.
        where: whose minions.
        sls: which states; all are part of the full highstate too.
    """

    stage: int
    where: Where
    sls: tuple[str, ...]


#: What follows from what. Routing needs nothing after a change of the leader: HAProxy asks Patroni.
FOLLOW_UPS: Mapping[str, tuple[FollowUp, ...]] = MappingProxyType(
    {
        "pgsql.leader": (
            # Rules that are scoped by role, and on the leader what only the leader can do.
            FollowUp(0, "replicas", ("pgsql.hba", "pgsql.pgbouncer")),
            FollowUp(0, "leader", ("pgsql.hba", "pgsql.pgbouncer", "pgsql.objects")),
            # The cluster's name leads to the new leader.
            FollowUp(0, "infra", ("infra.dns",)),
        ),
        "pgsql.member": (
            FollowUp(0, "members", ("pgsql.hba", "pgsql.service")),
            FollowUp(0, "infra", ("infra",)),
        ),
        # It was as the inventory wants it when it went away. Who leads may have changed since.
        "node.back": (FollowUp(0, "node", ("pgsql.hba", "pgsql.pgbouncer")),),
        "pgsql.running": (FollowUp(0, "members", ("pgsql.hba", "pgsql.pgbouncer")),),
        "node.join": (
            # The repository gets what it installs, its peers let it in: it waits for both.
            FollowUp(0, "infra", ("infra.repo",)),
            FollowUp(0, "node", HIGHSTATE),
            FollowUp(0, "peers", PEERS),
            FollowUp(0, "zoned", (FILTER, *PEERS)),
            FollowUp(0, "stores", ("etcd",)),
            FollowUp(0, "named", ("node.hosts",)),
            FollowUp(0, "clients", ("node.hosts", "pgsql.patroni", "pgsql.vip")),
            # When it serves, it is led to and watched.
            FollowUp(1, "peers", (SERVICES,)),
            FollowUp(1, "zoned", (SERVICES,)),
            FollowUp(1, "carriers", (PROVIDER,)),
            FollowUp(1, "infra", ("infra",)),
        ),
        # Its cluster was told by `pigsty pgsql rm`; here is what is left of it.
        "node.leave": (FollowUp(0, "others", ("node.hosts",)), FollowUp(1, "infra", ("infra",))),
    }
)


def follow(kind: str, truth: Truth, why: str, fact: str, **whom: tuple[str, ...]) -> Decision:
    """Return the steps of the table for those minions that are connected.

    Args:
        kind: a key of :data:`FOLLOW_UPS`.
        truth: the world.
        why: the sentence about what is true.
        fact: what is settled once it has been done.
        whom: hosts by the table's ``where``; the infra nodes are known.
    """
    everybody = {"infra": tuple(infra.ip for infra in truth.topology.infra), **whom}
    stages: dict[int, dict[str, tuple[str, ...]]] = {}
    absent: set[str] = set()
    for follow_up in FOLLOW_UPS[kind]:
        for host in everybody.get(follow_up.where, ()):
            if host not in truth.minions:
                absent.add(host)
                continue
            # One run per machine: two at once would be refused there.
            stage = stages.setdefault(follow_up.stage, {})
            stage[host] = _both(stage.get(host, ()), follow_up.sls)
    return Decision(
        why=why,
        stages=tuple(_grouped(stages[number]) for number in sorted(stages)),
        fact=fact,
        absent=tuple(sorted(absent)),
    )


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of two follow-ups of one minion."""
    if HIGHSTATE in (first, second):
        return HIGHSTATE
    return tuple(dict.fromkeys((*first, *second)))


def _grouped(stage: Mapping[str, tuple[str, ...]]) -> tuple[Step, ...]:
    """Return one step for all machines that run the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for host, sls in stage.items():
        # The whole is more than any of its parts.
        groups.setdefault(HIGHSTATE if WHOLE in sls else sls, []).append(host)
    return tuple(Step(tuple(hosts), sls) for sls, hosts in groups.items())
