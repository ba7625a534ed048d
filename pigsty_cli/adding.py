"""Adding members to a PostgreSQL cluster: look, decide, make them, lead the services to them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pigsty import keyspace, scaling
from pigsty.clients.patroni import CA, Patroni
from pigsty.deadlines import DEADLINES, DeadlineExceeded
from pigsty.errors import ClientError
from pigsty.scaling import Growth
from pigsty.targets import Job, TargetError, nearest
from pigsty.topology import PgInstance, Topology
from pigsty_cli import applying, deployment, keepers, lock, progress, report
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message
from pigsty_cli.removing import services_of
from pigsty_cli.saltapi import Master
from pigsty_cli.scaling import Phases


def command(cluster: str, words: Sequence[str], *, test: bool, output: str) -> int:
    """Carry out ``pigsty pgsql add``; return the exit code."""
    topology = deployment.usable(find(PLACES[0])).topology
    if cluster not in topology.pg_clusters:
        raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    with lock.held(f"pigsty pgsql add {cluster} {' '.join(words)}".rstrip()), Master() as master:
        live = keepers.of(master, topology, cluster).look()
        plan = scaling.growth(topology, cluster, live, words)
        if not plan.members:
            message(f"all members of {cluster} live: there is nobody to add")
            if output != "table":
                emit({"cluster": cluster, "test": test, "added": [], "steps": [], "hosts": []},
                     output)  # fmt: skip
            return 0
        phases = Phases(master, topology, _presence(master, topology, plan), test)
        phases.ready()
        message(f"Adding to {cluster}:")
        for sentence in plan.sentences:
            message(f"  {sentence}")
        steps = _grow(phases, plan) if not test else _audit(phases, plan)
    results = [phases.results[h] for h in topology.nodes if h in phases.results]
    names = {host: node.name for host, node in topology.nodes.items()}
    if output == "table":
        report.show(results, names, output, test=test, told=test)
    else:
        hosts = [{"name": names[r.host], **r.to_dict()} for r in results]
        added = [m.name for m in plan.members]
        emit({"cluster": cluster, "test": test, "added": added, "steps": steps, "hosts": hosts},
             output)  # fmt: skip
    return report.exit_code(results)


def _presence(master: Master, topology: Topology, plan: Growth) -> applying.Presence:
    """Ask who is there; every new member has to be.

    Raises:
        Refused: one isn't.
    """
    cluster = plan.cluster
    hosts = [member.ip for member in (*plan.members, *plan.peers)]
    hosts += services_of(topology, cluster.name)
    hosts += _stores(topology, plan)
    hosts += [infra.ip for infra in topology.infra]
    found = applying.presence(master, tuple(dict.fromkeys(hosts)), topology.admin_ip)
    missing = [f"{m.ip}: {found.missing[m.ip]}" for m in plan.members if m.ip in found.missing]
    if missing:
        raise Refused(f"{'; '.join(missing)}. `pigsty status` shows the minions")
    flag = applying.repository_flag(topology)
    if flag is not None and not flag.exists():
        raise Refused(
            "the package repository on the admin node isn't built yet: begin with "
            f"`pigsty apply {topology.admin_ip}`"
        )
    for host, why in found.missing.items():
        message(f"{host} isn't told of them: {why}")
    return found


def _grow(phases: Phases, plan: Growth) -> list[dict[str, Any]]:
    """Make the members; each phase has to end well before the next begins."""
    topology, steps = phases.topology, []
    begin = time.monotonic()

    def done(what: str) -> None:
        steps.append({"done": what, "seconds": round(time.monotonic() - begin, 1)})

    if not phases.run("the cluster's user in etcd", _users(topology, plan)):
        return steps
    # Who was made with a failure is said in the table; nobody is sent to them.
    if not phases.run("new members, and who lets them in", scaling.first(topology, plan)):
        return steps
    done("made")
    for member in plan.members:
        _await_streaming(member)
        done(f"{member.name} streams" if member.role != "primary" else f"{member.name} serves")
    everybody = tuple(member.ip for member in plan.cluster.members)
    if not phases.run("services", scaling.routing(topology, plan.cluster, everybody)):
        return steps
    _await_routed(phases, plan)
    done("routed")
    if phases.run("who watches", scaling.watching(topology)):
        done("watched")
    return steps


def _audit(phases: Phases, plan: Growth) -> list[dict[str, Any]]:
    """Look what would change, on new members and on the others."""
    work = list(scaling.first(phases.topology, plan))
    phases.run("the cluster's user in etcd", _users(phases.topology, plan))
    phases.run("new members, and who lets them in", work)
    peers = tuple(member.ip for member in plan.peers)
    phases.run("services", scaling.routing(phases.topology, plan.cluster, peers))
    phases.run("who watches", scaling.watching(phases.topology))
    return []


def _stores(topology: Topology, plan: Growth) -> tuple[str, ...]:
    """Return the members of etcd that make a new cluster's user; Consul's tokens aren't ours."""
    new = plan.fresh and keyspace.kind(plan.cluster) == "etcd"
    return tuple(member.ip for member in topology.etcd) if new else ()


def _users(topology: Topology, plan: Growth) -> tuple[Job, ...]:
    return (Job(_stores(topology, plan), ("etcd",)),)


def _await_streaming(member: PgInstance) -> None:
    """Wait until a member serves: a large copy takes hours, and goes on without us."""
    params = member.vars
    ca = CA if params["patroni_ssl_enabled"] else None
    client = Patroni(member.ip, int(params["patroni_port"]), ca=ca)

    def streams() -> bool:
        try:
            status = client.status()
        except ClientError:
            return False
        follows = status.replication in ("streaming", "in archive recovery")
        return status.running and (status.leader or follows)

    try:
        progress.wait(streams, "patroni.reinit", f"{member.name} copies the data and streams")
    except DeadlineExceeded as error:
        raise CliError(
            f"{error}: Patroni goes on; run this again when `pigsty pgsql list` shows it streaming"
        ) from error


def _await_routed(phases: Phases, plan: Growth) -> None:
    """Wait until HAProxy sends connections to the new members, wherever it should."""
    names = [member.name for member in plan.members]
    hosts = [h for h in services_of(phases.topology, plan.cluster.name) if h in phases.found.up]
    master: Any = phases.master
    words = {"members": names, "prefix": f"{plan.cluster.name}-"}
    job = master.publish(hosts, "pigsty_routes.await_up", [], words)
    with progress.waiting(f"HAProxy on {', '.join(hosts)} sends to {', '.join(names)}") as screen:
        screen.begin()
        answers = master.collect(job, lambda _: DEADLINES["scaling.routed"] + 10)
    wrong = {host: answers.get(host, "no answer") for host in hosts
             if not isinstance(answers.get(host), Mapping)}  # fmt: skip
    if wrong:
        raise CliError("; ".join(f"{host}: {text}" for host, text in wrong.items()))
