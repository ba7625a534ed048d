"""Removing members of a PostgreSQL cluster, or all of it: look, decide, tell, ask, do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pigsty import operations, removal, scaling
from pigsty.deadlines import DEADLINES
from pigsty.removal import Plan, Trace, Wish, World
from pigsty.render import services
from pigsty.targets import Job, TargetError, nearest
from pigsty.topology import PgInstance, Topology
from pigsty.wording import counted, sized
from pigsty_cli import access, applying, deployment, history, keepers, lock, operating, report
from pigsty_cli.commands.pgsql_operations import CA, KEY, confirm
from pigsty_cli.errors import CliError
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message
from pigsty_cli.saltapi import Master
from pigsty_cli.scaling import Phases, answering, serving

STATES = ("pgsql.remove",)


def command(cluster: str, wish: Wish, *, yes: bool, test: bool, output: str) -> int:
    """Carry out ``pigsty pgsql rm``; return the exit code."""
    # Peers get their pillar from this file, whatever another one says.
    topology = deployment.usable(find(PLACES[0])).topology
    words = " ".join(wish.words)
    with lock.held(f"pigsty pgsql rm {cluster} {words}".rstrip()), Master() as master:
        keeper = keepers.of(master, topology, cluster)
        live = keeper.look()
        if not live.exists and cluster not in topology.pg_clusters and not wish.words:
            raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
        hosts = removal.hosts(topology, live, wish.words)
        peers = [*services_of(topology, cluster), *(member.ip for member in topology.etcd)]
        peers += [infra.ip for infra in topology.infra]
        found = applying.presence(master, tuple(dict.fromkeys([*hosts, *peers])), topology.admin_ip)
        phases = Phases(master, topology, found, test)
        phases.ready()
        traces, silent = _traces(master, phases, hosts)
        world = World(topology, live, traces, silent, answering(live), serving(live))
        plan = removal.plan(world, wish)
        lost = _measured(master, plan)
        _tell(plan, lost)
        removing = Removal(phases, topology, plan, keeper)
        if not test:
            if not yes:
                confirm(cluster)
            removing.hand_over()
        good = removing.states()
        if good and not test:
            removing.forget()
            history.forget(member.host for member in plan.members if member.host)
        if good:
            removing.leftovers()
            good = all(result.good for result in phases.results.values())
    _report(plan, phases, lost, output, test=test)
    if not test and good:
        _farewell(plan, world)
    return report.exit_code(list(phases.results.values())) if phases.results else 0


class Removal:
    """One removal under way.

    Args:
        phases: runs states.
        topology: the inventory.
        plan: what was decided.
        keeper: who keeps its keys.
    """

    def __init__(
        self, phases: Phases, topology: Topology, plan: Plan, keeper: keepers.Keeper
    ) -> None:
        self._phases, self._topology, self._plan, self._keeper = phases, topology, plan, keeper
        self._declared = topology.pg_clusters.get(plan.cluster)

    def hand_over(self) -> None:
        """Have the leader that goes hand the lead to one that stays."""
        plan = self._plan
        if not plan.handover or self._declared is None:
            return
        to = access.of(self._declared, KEY, CA)
        names = {member.name for member in plan.members} - {plan.handover}

        def to_one_that_stays(seen: operations.Snapshot) -> operations.Plan:
            staying = tuple(m for m in seen.members if m.name not in names)
            return operations.switchover(dataclasses.replace(seen, members=staying))

        seen, order = operating.settled(to, to_one_that_stays, message)
        carriers = services_of(self._topology, plan.cluster)
        operating.carry_out(to, seen, order, message, carriers)

    def states(self) -> bool:
        """Tell the peers first, so that nobody is sent to a member that goes; then remove it.

        Returns:
            Whether the members are gone.

        Raises:
            CliError: the peers' services still lead to them; nothing was removed.
        """
        plan, run = self._plan, self._phases.run
        cluster = self._declared
        if cluster is not None and plan.peers:
            routes = scaling.routing(self._topology, cluster, plan.peers)
            if not run("services without them", routes):
                raise CliError("nothing was removed: the services still lead to those that go")
        orders = {
            member.host: {
                "instance": member.name,
                # An audit sees the leader before it hands over.
                "last": plan.whole or (self._phases.test and member.name == plan.handover),
                "data": member.data,
                "backups": plan.backups,
                "packages": member.packages,
            }
            for member in plan.members
            if member.there
        }
        return run("removed", (Job(tuple(orders), STATES),), {"pigsty_removal": orders})

    def leftovers(self) -> None:
        """Have the peers forget them, and converge what the inventory says of what is left."""
        plan, topology = self._plan, self._topology
        if self._declared is not None and plan.peers:
            self._phases.run("peers forget them", scaling.letting_in(self._peers()))
        nodes = tuple(m.host for m in plan.members if m.host in topology.nodes and not m.declared)
        users = plan.whole and self._declared is None
        etcd = tuple(member.ip for member in topology.etcd) if users else ()
        both = tuple(host for host in nodes if host in etcd)
        # Where another member is to live from now on, who watches it is brought with it.
        free = tuple(host for host in nodes if host not in both)
        taken = tuple(host for host in free if host in topology.pg_instances)
        jobs = (
            Job(tuple(h for h in free if h not in taken), ("node", "node.monitor")),
            Job(taken, ("node",)),
            Job(tuple(h for h in etcd if h not in both), ("etcd",)),
            Job(both, ("node", "etcd", "node.monitor")),
        )
        self._phases.run("what is left", tuple(job for job in jobs if job.hosts))
        self._phases.run("who watches forgets them", scaling.watching(topology))

    def _peers(self) -> tuple[PgInstance, ...]:
        members = self._declared.members if self._declared else ()
        return tuple(member for member in members if member.ip in self._plan.peers)

    def forget(self) -> None:
        """Delete the keys in the DCS, once nobody lives behind them."""
        names = [member.name for member in self._plan.members]
        self._keeper.forget(names, whole=self._plan.whole)


def services_of(topology: Topology, name: str) -> tuple[str, ...]:
    """Return the machines whose HAProxy carries a cluster's services, by the inventory."""
    cluster = topology.pg_clusters.get(name)
    if cluster is None:
        return ()
    return services.providers(topology, cluster) or tuple(m.ip for m in cluster.members)


def _traces(
    master: Master, phases: Phases, hosts: Sequence[str]
) -> tuple[dict[str, Trace | None], dict[str, str]]:
    """Ask machines for their records; return them, and why the others are silent."""
    found = phases.found
    up = [host for host in hosts if host in found.up]
    job = master.publish(up, "pigsty_removal.trace")
    answers = master.collect(job, lambda _: DEADLINES["apply.presence"]) if up else {}
    traces: dict[str, Trace | None] = {}
    silent = {host: found.missing.get(host, "its minion doesn't answer") for host in hosts}
    for host, answer in answers.items():
        if answer is None or isinstance(answer, Mapping):
            traces[host] = Trace(**answer) if answer else None
            del silent[host]
        else:
            silent[host] = str(answer)
    return traces, silent


def _measured(master: Master, plan: Plan) -> dict[str, Mapping[str, Any]]:
    """Return what each machine says would be lost; who says nothing is missing."""
    hosts = [member.host for member in plan.members if member.there]
    if not hosts:
        return {}
    job = master.publish(hosts, "pigsty_removal.measure")
    answers = master.collect(job, lambda _: DEADLINES["removal.measure"])
    return {host: answer for host, answer in answers.items() if isinstance(answer, Mapping)}


def _tell(plan: Plan, lost: Mapping[str, Mapping[str, Any]]) -> None:
    what = "the whole cluster" if plan.whole else ", ".join(m.name for m in plan.members)
    message(f"Removing {what} ({plan.cluster}):")
    for sentence in plan.sentences:
        message(f"  {sentence}")
    for member in plan.members:
        found = lost.get(member.host)
        if found is not None:
            verb = "lost" if member.data else "kept"
            message(f"  {member.name}: {verb}: {'; '.join(_losses(found, plan))}")


def _losses(found: Mapping[str, Any], plan: Plan) -> list[str]:
    lines = [f"{sized(found['data_bytes'])} in {found['data']}"]
    if found["databases"] and plan.whole:
        named = (f"{row['name']} ({sized(row['bytes'])})" for row in found["databases"])
        lines.append(f"databases {', '.join(named)}")
    if found["slots"]:
        lines.append(f"logical replication slots {', '.join(found['slots'])}")
    if found["clients"]:
        lines.append(f"{found['clients']} sessions end")
    if found["backups"]:
        fate = "DELETED" if plan.backups else "kept"
        where = f" in {found['repository']}" if found["repository"] else ""
        count = len(found["backups"])
        lines.append(f"{counted(count, 'backup')}{where} {fate}")
    return lines


def _report(
    plan: Plan, phases: Phases, lost: Mapping[str, Any], output: str, *, test: bool
) -> None:
    results = list(phases.results.values())
    names = {member.host: member.name for member in plan.members}
    names = {h: n.name for h, n in phases.topology.nodes.items()} | names
    if output == "table":
        report.show(results, names, output, test=test, told=test)
        return
    emit(
        plan.to_dict()
        | {
            "test": test,
            "lost": dict(lost),
            "hosts": [{"name": names.get(r.host, ""), **r.to_dict()} for r in results],
        },
        output,
    )


def _farewell(plan: Plan, world: World) -> None:
    for line in removal.afterwards(plan, world.topology):
        message(line)
    if not plan.whole:
        seconds = world.live.slots_ttl
        names = ", ".join(m.name.replace("-", "_") for m in plan.members)
        message(
            f"Patroni keeps the replication slot {names} for {seconds // 60} minutes more "
            "(member_slots_ttl), then it drops it"
        )
    strangers = [m.host for m in plan.members if m.host and m.host not in world.topology.nodes]
    if strangers:
        message(
            f"{', '.join(strangers)}: no host of the inventory any more; its minion's key is still "
            f"accepted (`pigsty node rm {strangers[0]}`)"
        )
