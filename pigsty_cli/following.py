"""The HAProxies of a cluster's services follow a planned move of the lead at once.

By their own checks they take as long as `rise` and `fall` say: some seconds in which a client finds
no leader. So each is put on watch before the lead moves, by the minion of its machine. Without
Salt, or without an answer in time, the lead moves all the same, and the checks do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from pigsty.deadlines import DEADLINES
from pigsty.operations import Plan, Snapshot
from pigsty_cli import saltapi
from pigsty_cli.access import Access
from pigsty_cli.saltapi import Master, Published, SaltError


@contextmanager
def services(
    to: Access, snapshot: Snapshot, plan: Plan, hosts: Sequence[str], say: Callable[[str], None]
) -> Iterator[None]:
    """Have the HAProxies on watch while the lead moves.

    Args:
        to: how the cluster's members are reached.
        snapshot: the cluster.
        plan: who shall lead.
        hosts: machines that carry the cluster's services.
        say: takes a line of progress.
    """
    if snapshot.leader is not None and snapshot.leader.role == "standby_leader":
        # No service leads to it: it takes no writes.
        yield
        return
    with ExitStack() as stack:
        try:
            master = stack.enter_context(saltapi.Master())
            job = _watch(master, _order(to, snapshot, plan), hosts)
            ready = _ready(master, plan.cluster, job)
        except SaltError as error:
            say(f"HAProxy will follow by its own checks, which takes seconds: {error}")
            yield
            return
        if late := sorted(set(hosts) - ready):
            say(f"HAProxy will follow by its own checks on {', '.join(late)}: no minion answers")
        yield
        found = master.collect(job, lambda host: DEADLINES["follow.armed"])
        for host, answer in sorted(found.items()):
            if not isinstance(answer, list):
                say(f"HAProxy on {host} follows by its own checks: {answer}")


def _order(to: Access, snapshot: Snapshot, plan: Plan) -> dict[str, Any]:
    (name,) = plan.members
    return {
        "cluster": plan.cluster,
        "host": snapshot.member(name).host,
        "port": to.port,
        "tls": to.ca is not None,
        "new": name,
        "old": plan.leader,
    }


def _watch(master: Master, order: dict[str, Any], hosts: Sequence[str]) -> Published:
    return master.publish(hosts, "pigsty_follow.leader", keywords=order)


def _ready(master: Master, cluster: str, job: Published) -> set[str]:
    """Return the hosts that are on watch."""
    asked = master.publish(sorted(job.minions), "pigsty_follow.armed", [cluster])
    answers = master.collect(asked, lambda host: DEADLINES["follow.armed"])
    return {host for host, answer in answers.items() if answer is True}
