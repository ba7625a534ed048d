"""One aspect of a PostgreSQL cluster: the states that make it, on the hosts that it concerns.

A command that carries out an aspect says which states run where and is done::

    ctx.exit(aspects.carry_out(cluster, aspects.members("pgsql.hba"), what, output, test=test))

The SLS files that it names include nothing (`states/pgsql/init.sls` has the order of a whole run),
so that a run takes a second and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pigsty.render import services
from pigsty.targets import Job, TargetError, nearest
from pigsty.topology import PgCluster, Topology
from pigsty_cli import deployment, inventories
from pigsty_cli.errors import Refused

#: Says which states run where, for a cluster.
Where: TypeAlias = Callable[[Topology, PgCluster], Iterable[Job]]


def members(*states: str) -> Where:
    """Return an aspect of a cluster's own members.

    Args:
        states: names of SLS files, in the order in which they run.
    """
    return lambda _topology, cluster: (Job(tuple(m.ip for m in cluster.members), states),)


def carriers(*states: str) -> Where:
    """Return an aspect of the hosts that carry a cluster's services: its members, or others.

    Args:
        states: names of SLS files, in the order in which they run.
    """

    def where(topology: Topology, cluster: PgCluster) -> Iterable[Job]:
        own = tuple(member.ip for member in cluster.members)
        yield Job(services.providers(topology, cluster) or own, states)

    return where


def both(*aspects: Where) -> Where:
    """Return several aspects as one run: a host that stands in more of them runs all its states."""

    def where(topology: Topology, cluster: PgCluster) -> Iterable[Job]:
        return joined(job for aspect in aspects for job in aspect(topology, cluster))

    return where


def joined(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return jobs in which every host stands once; hosts that run the same states share one."""
    states: dict[str, dict[str, None]] = {}
    for job in jobs:
        for host in job.hosts:
            states.setdefault(host, {}).update(dict.fromkeys(job.states))
    hosts: dict[tuple[str, ...], list[str]] = {}
    for host, names in states.items():
        hosts.setdefault(tuple(names), []).append(host)
    return tuple(Job(tuple(own), names) for names, own in hosts.items())


def carry_out(
    cluster: str,
    where: Where,
    what: str,
    output: str,
    *,
    test: bool,
    only: Callable[[Topology, PgCluster], Mapping[str, Sequence[str]]] | None = None,
) -> int:
    """Carry out one aspect of a cluster, with pillars made anew.

    The inventory is validated, the lock of applies is held, who is there is asked, the states run
    side by side with progress, and the result is a table with exactly what changed (or, with
    ``test``, would change) below it.

    Args:
        cluster: its name.
        where: from :func:`members`, :func:`carriers` or :func:`both`.
        what: what runs, as a person would type it.
        output: ``table``, ``json`` or ``yaml``.
        test: only look.
        only: says which objects alone are meant, as names by kind (:mod:`pigsty.scope`); no
            secrets, it travels in the job.

    Returns:
        The exit code: 0 when all is well, 1 when it failed everywhere, 3 when in part.

    Raises:
        TargetError: there is no such cluster.
        Refused: the inventory has errors, another run goes on, or nobody is there.
    """
    # The file that the ext_pillar reads: another one could be shown here, but not applied.
    topology = deployment.usable(inventories.find(inventories.PLACES[0])).topology
    if cluster not in topology.pg_clusters:
        raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    declared = topology.pg_clusters[cluster]
    work = joined(where(topology, declared))
    meant = {host for job in work for host in job.hosts}
    # Imported late: it brings Salt.
    from pigsty_cli.applying import Plan
    from pigsty_cli.running import carry_out as run

    hosts = tuple(host for host in topology.nodes if host in meant)
    if not hosts:
        raise Refused(f"no host carries this for {cluster}: nothing to do")
    return run(
        Plan(topology, hosts, (), test, work, only(topology, declared) if only else {}),
        what,
        output,
    )
