"""A question to the minions of a cluster's members, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.deadlines import DEADLINES
from pigsty.targets import TargetError, nearest
from pigsty.topology import PgCluster, Topology
from pigsty_cli import saltapi
from pigsty_cli.errors import CliError
from pigsty_cli.output import message

Looks = dict[str, dict[str, Any]]


def named(topology: Topology, name: str) -> PgCluster:
    """Return a cluster by name.

    Raises:
        TargetError: there is none of that name.
    """
    if name not in topology.pg_clusters:
        raise TargetError(nearest(name, topology.pg_clusters, "cluster"))
    return topology.pg_clusters[name]


def ask(cluster: PgCluster, function: str) -> Looks:
    """Have every member look at itself, with a pillar made anew.

    Who doesn't answer is told on standard error and left out.

    Args:
        cluster: whose members.
        function: an execution function that returns a mapping.

    Returns:
        The answers by instance name.

    Raises:
        CliError: nobody answered.
    """
    hosts = [member.ip for member in cluster.members]
    with saltapi.Master() as master:
        fresh = master.publish(hosts, "saltutil.refresh_pillar", [], {"wait": True})
        up = sorted(master.collect(fresh, lambda _host: DEADLINES["apply.publish"]))
        answers: Mapping[str, Any] = {}
        if up:
            job = master.publish(up, function)
            answers = master.collect(job, lambda _host: DEADLINES["apply.publish"])
    found: Looks = {}
    for member in cluster.members:
        answer = answers.get(member.ip)
        if isinstance(answer, dict):
            found[member.name] = answer
            if answer.get("error"):
                message(f"{member.name}: {answer['error']}")
        else:
            said = str(answer).removeprefix("ERROR: ").strip() if answer else "doesn't answer"
            message(f"{member.name}: {said}")
    if not found:
        raise CliError(f"no minion of {cluster.name} answers: `pigsty status` shows who is there")
    return found


def leader(looks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the member that says that it leads, "" if none does."""
    return next((name for name, look in looks.items() if look.get("leader")), "")
