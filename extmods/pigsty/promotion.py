"""A standby cluster takes writes of its own, and follows again: decided before it begins.

As in :mod:`pigsty.operations`, every function takes a snapshot and returns a plan or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.operations import Action, OperationRefused, Plan, Snapshot, not_paused


def promote(snapshot: Snapshot) -> Plan:
    """Make a standby cluster take writes of its own.

    Returns:
        A plan whose ``members`` is the standby leader; empty: the cluster takes writes already.

    Raises:
        OperationRefused: no healthy standby leader, or the cluster is paused.
    """
    leader, upstream = snapshot.leader, snapshot.follows
    if not upstream:
        return _nothing(snapshot, "promote", f"{snapshot.cluster} takes writes already")
    not_paused(snapshot)
    if leader is None or not snapshot.healthy(leader):
        raise OperationRefused(f"{snapshot.cluster} has no healthy standby leader to be promoted")
    return Plan(
        action="promote",
        cluster=snapshot.cluster,
        members=(leader.name,),
        leader=leader.name,
        sentence=f"{leader.name} stops following {upstream}, and {snapshot.cluster} takes writes",
        effect=(
            f"what {upstream} has not sent yet is missing, and nothing of what it does from now on "
            "comes here: see that nobody writes there any more"
            + (
                "; the delay ends, all that was received is replayed at once"
                if snapshot.config["standby_cluster"].get("recovery_min_apply_delay")
                else ""
            )
        ),
    )


def demote(
    snapshot: Snapshot, upstream: Mapping[str, Any] | None, own: str = "", theirs: str = ""
) -> Plan:
    """Make a cluster the standby of another again.

    Args:
        snapshot: the cluster.
        upstream: whom the inventory says that it follows, as Patroni's ``standby_cluster``.
        own: PostgreSQL's system identifier of the cluster, "" if it isn't known.
        theirs: the same of the upstream.

    Raises:
        OperationRefused: the inventory names no upstream, or one that is silent or was never one
            with this cluster; no healthy leader, or paused.
    """
    leader = snapshot.leader
    if not upstream:
        raise OperationRefused(
            f"the inventory doesn't say whom {snapshot.cluster} shall follow: give its primary a "
            "pg_upstream first"
        )
    if snapshot.follows:
        return _nothing(
            snapshot, "demote", f"{snapshot.cluster} follows {snapshot.follows} already"
        )
    not_paused(snapshot)
    if leader is None or not snapshot.healthy(leader):
        raise OperationRefused(f"{snapshot.cluster} has no healthy leader to be demoted")
    if not theirs:
        raise OperationRefused(
            f"no Patroni of {upstream['host']} answers: there would be nobody to follow"
        )
    # Patroni doesn't ask: it would fail to rewind the data, and throw them away.
    if own != theirs:
        raise OperationRefused(
            f"{snapshot.cluster} doesn't come from the cluster of {upstream['host']} (system "
            f"{own or 'unknown'}, there {theirs}): all of its data would be thrown away. If that "
            f"is meant: `pigsty pgsql rm {snapshot.cluster}`, then `pigsty pgsql add` copies the "
            "other one"
        )
    return Plan(
        action="demote",
        cluster=snapshot.cluster,
        members=(leader.name,),
        leader=leader.name,
        sentence=f"{snapshot.cluster} takes no writes any more and follows {upstream['host']}",
        effect=(
            f"ALL that was written to {snapshot.cluster} and is not on {upstream['host']} is LOST: "
            "its members are rewound, or copied again where that can't be done"
        ),
        upstream=upstream,
    )


def _nothing(snapshot: Snapshot, action: Action, sentence: str) -> Plan:
    return Plan(
        action, snapshot.cluster, (), snapshot.leader.name if snapshot.leader else "", sentence, ""
    )
