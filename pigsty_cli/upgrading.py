"""`pigsty pgsql upgrade`: look at everybody, decide, then package, restart and lead in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pigsty import operations, upgrading
from pigsty.deadlines import DEADLINES
from pigsty.render import services
from pigsty.targets import TargetError, nearest
from pigsty.topology import PgCluster, Topology
from pigsty.upgrading import Step, Upgrade, Version
from pigsty_cli import (
    access,
    applying,
    attempts,
    deployment,
    lock,
    operating,
    progress,
    remote,
)
from pigsty_cli.commands.pgsql_operations import CA, COLUMNS, KEY, confirm
from pigsty_cli.errors import Refused
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message
from pigsty_cli.saltapi import Master
from pigsty_cli.scaling import Phases


@dataclass(frozen=True, slots=True)
class Done:
    """An upgrade that was looked at, and carried out unless only a look was wanted.

    Attributes:
        plan: what was decided.
        rows: a row for each thing that was done: ``member``, ``done``, ``seconds``.
    """

    plan: Upgrade
    rows: list[dict[str, Any]]


def command(name: str, *, yes: bool, test: bool, output: str) -> None:
    """Carry out ``pigsty pgsql upgrade`` (see :func:`upgrade`)."""
    done = upgrade(name, test=test, agreed=(lambda: None) if yes else (lambda: confirm(name)))
    if output != "table":
        steps = [{"action": step.action, "member": step.member} for step in done.plan.steps]
        emit({"cluster": name, "test": test, "plan": steps, "steps": done.rows}, output)
    elif done.rows:
        emit(done.rows, output, columns=COLUMNS)


def upgrade(
    name: str,
    *,
    test: bool,
    agreed: Callable[[], None] = lambda: None,
    rows: list[dict[str, Any]] | None = None,
) -> Done:
    """Bring the newest minor release to a cluster.

    Args:
        name: the cluster.
        test: only look and decide.
        agreed: is called before anything is done, and raises if it shall not be.
        rows: takes a row for each thing as soon as it is done.

    Raises:
        TargetError: the inventory has no such cluster.
        OperationRefused: it can't be upgraded now.
    """
    done: list[dict[str, Any]] = [] if rows is None else rows
    topology = deployment.usable(find(PLACES[0])).topology
    if name not in topology.pg_clusters:
        raise TargetError(nearest(name, topology.pg_clusters, "cluster"))
    attempts.refuse([name])
    cluster = topology.pg_clusters[name]
    with lock.held(f"pigsty pgsql upgrade {name}"), Master() as master:
        under_way = _Upgrading(master, topology, cluster, test=test)
        plan = under_way.plan()
        for sentence in plan.sentences:
            message(sentence)
        if test or not plan.steps:
            return Done(plan, done)
        agreed()
        under_way.carry_out(plan, done)
        return Done(plan, done)


class _Upgrading:
    """One upgrade under way."""

    def __init__(
        self, master: Master, topology: Topology, cluster: PgCluster, *, test: bool
    ) -> None:
        self._master, self._topology, self._cluster = master, topology, cluster
        self._to = access.of(cluster, KEY, CA)
        self._hosts = {member.name: member.ip for member in cluster.members}
        hosts = tuple(self._hosts.values())
        found = applying.presence(master, hosts, topology.admin_ip)
        Phases(master, topology, found, test).ready()
        self._up = found.up

    def plan(self) -> Upgrade:
        """Ask every member what it runs and what there is, and decide."""
        if not self._up:
            raise Refused(f"no minion of {self._cluster.name} answers: `pigsty node list`")
        job = self._master.publish(self._up, "pigsty_upgrade.look")
        with progress.waiting(f"asking {', '.join(self._up)} which versions there are") as screen:
            screen.begin()
            answers = self._master.collect(job, lambda _: DEADLINES["upgrade.look"])
        versions = {}
        for name, host in self._hosts.items():
            answer = answers.get(host)
            if isinstance(answer, Mapping):
                versions[name] = Version.from_dict(answer)
            elif host in self._up:
                raise Refused(f"{name}: {answer or 'no answer'}")
        return upgrading.upgrade(operating.look(self._to), versions)

    def carry_out(self, plan: Upgrade, rows: list[dict[str, Any]]) -> None:
        """Do one step after the other; each has to end well before the next begins."""
        for step in plan.steps:
            if step.action == "packages":
                rows.append(self._packages(step))
            else:
                self._operation(step, rows)

    def _packages(self, step: Step) -> dict[str, Any]:
        begin = time.monotonic()
        host = self._hosts[step.member]
        with progress.waiting(f"{step.member}: packages", host) as screen:
            remote.call(
                self._master, host, "pigsty_upgrade.install", deadline="node.dpkg", screen=screen
            )
        seconds = round(time.monotonic() - begin, 1)
        message(f"{step.member}: packages are there ({seconds} s)")
        return {"member": step.member, "done": "packages", "seconds": seconds}

    def _operation(self, step: Step, rows: list[dict[str, Any]]) -> None:
        """Restart a member or move the lead, decided by what is true when its turn comes."""
        if step.action == "restart":
            seen = operating.look(self._to)
            plan = operations.restart(seen, [step.member])
            operating.carry_out(self._to, seen, plan, message, rows=rows)
            return
        seen, plan = operating.settled(
            self._to, lambda seen: operations.switchover(seen, step.member), message
        )
        carriers = services.providers(self._topology, self._cluster) or tuple(self._hosts.values())
        operating.carry_out(self._to, seen, plan, message, carriers, rows)
