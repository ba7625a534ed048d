"""`pigsty etcd list|add|rm`: members of the store, and everybody who has to know of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pigsty import membership
from pigsty.clients import health
from pigsty.membership import Living
from pigsty.targets import Job
from pigsty.topology import Topology
from pigsty_cli import applying, deployment, lock, progress, remote, report
from pigsty_cli.commands.pgsql_operations import confirm
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message
from pigsty_cli.saltapi import Master
from pigsty_cli.scaling import Phases

#: What members of PostgreSQL clusters have to know of the store: its names, Patroni's endpoints,
#: and those of the address that follows the leader.
CLIENTS = ("node.hosts", "pgsql.patroni", "pgsql.vip")


def rows(topology: Topology) -> list[dict[str, Any]]:
    """Return a row for each member: those of the inventory, and others that belong to the cluster.

    Raises:
        Refused: no member can be asked.
    """
    with Master() as master:
        _host, members = _asked(master, topology)
    by_host = {member.host: member for member in members}
    declared = {member.ip: member.name for member in topology.etcd}
    hosts = [*declared, *(host for host in by_host if host not in declared)]
    states = deployment.ask(health.etcd, hosts)
    found = []
    for host, state in zip(hosts, states, strict=True):
        member = by_host.get(host)
        role = "not a member" if member is None else "learner" if member.learner else "member"
        found.append(
            {
                "member": declared.get(host) or (member.name if member else ""),
                "host": host,
                "role": "leader" if member and member.leader else role,
                "health": state,
                "declared": host in declared,
                "id": member.id if member else "",
            }
        )
    return found


def add(words: Sequence[str], *, test: bool, output: str) -> int:
    """Carry out ``pigsty etcd add`` (see :func:`grow`); return the exit code."""
    phases = grow(words, test=test)
    return _report(phases, output, test=test) if phases else 0


def rm(word: str, *, dead: bool, yes: bool, test: bool, output: str) -> int:
    """Carry out ``pigsty etcd rm`` (see :func:`shrink`); return the exit code."""

    def agreed(name: str) -> None:
        if not yes:
            confirm(name, "member")

    return _report(shrink(word, dead=dead, test=test, agreed=agreed), output, test=test)


def grow(words: Sequence[str], *, test: bool) -> Phases | None:
    """Make members of etcd, and tell everybody who uses the store.

    Args:
        words: who, as names or addresses; all of the inventory if empty.
        test: only look.

    Returns:
        What ran; None when all of them belong to it already.

    Raises:
        TargetError: the inventory has no such member.
        MembershipRefused: the newcomer would cost the store its majority.
        Refused: a machine can't be asked.
    """
    topology = deployment.usable(find(PLACES[0])).topology
    with lock.held(f"pigsty etcd add {' '.join(words)}".rstrip()), Master() as master:
        _host, members = _asked(master, topology)
        new = membership.addition(topology, members, _healthy(members), words)
        if not new:
            message("all members of the inventory belong to etcd: there is nobody to add")
            return None
        names = ", ".join(f"{member.name} on {member.ip}" for member in new)
        message(f"Adding to etcd, one after the other: {names}. Those that run are not restarted")
        phases = _phases(master, topology, test)
        if missing := [m.ip for m in new if m.ip not in phases.found.up]:
            raise Refused(f"{', '.join(missing)}: no minion answers there: `pigsty node list`")
        everything = ("node", "etcd", "node.monitor")
        good = phases.run("new members", (Job(tuple(m.ip for m in new), everything),))
        if good:
            others = tuple(m.ip for m in topology.etcd if m not in new)
            _tell(phases, others)
            if not test and all(result.good for result in phases.results.values()):
                message(
                    "Patroni's members turn to the new ones within 5 min: keep the others so long"
                )
    return phases


def shrink(
    word: str, *, dead: bool, test: bool, agreed: Callable[[str], None] = lambda _name: None
) -> Phases:
    """Take a member out of etcd, after everybody who uses the store was told.

    Args:
        word: its name, address or ID.
        dead: a person says that its machine is gone for good.
        test: only look.
        agreed: is called with its name before anything is done, and raises if it shall not be.

    Returns:
        What ran.

    Raises:
        TargetError: the store has no such member.
        MembershipRefused: the inventory has it, or the others could not go on without it.
        Refused: a machine can't be asked.
    """
    topology = deployment.usable(find(PLACES[0])).topology
    with lock.held(f"pigsty etcd rm {word}"), Master() as master:
        host, members = _asked(master, topology)
        plan = membership.removal(topology, members, _healthy(members), word, dead=dead)
        gone = plan.member
        phases = _phases(master, topology, test, gone.host)
        if gone.host not in phases.found.up and not dead:
            why = phases.found.missing.get(gone.host, "it doesn't answer")
            raise Refused(f"{gone.host}: {why}. --dead is for a machine that is gone for good")
        for sentence in plan.sentences:
            message(sentence)
        if not test:
            agreed(gone.name or gone.id or gone.host)
        if gone.id and not dead:
            _await_patroni(master, plan.staying, test=test)
        # Nobody asks it any more when it goes.
        _tell(phases, tuple(member.ip for member in topology.etcd))
        if gone.id and not test and all(r.good for r in phases.results.values()):
            words = {"member": gone.id}
            name = gone.name or gone.id
            with progress.waiting(f"{name} leaves the store", host) as screen:
                remote.call(
                    master,
                    host,
                    "pigsty_etcd.expel",
                    words,
                    deadline="etcd.healthy",
                    screen=screen,
                )
            message(f"{name} has left")
        if not dead and (test or all(result.good for result in phases.results.values())):
            phases.run("removed", (Job((gone.host,), ("etcd.remove",)),), {"pigsty_removal": {}})
    return phases


def _asked(master: Master, topology: Topology) -> tuple[str, tuple[Living, ...]]:
    """Return who was asked, and the members as the cluster knows them.

    Raises:
        Refused: nobody can be asked.
    """
    reasons = []
    for member in topology.etcd:
        try:
            remote.refresh(master, member.ip)
            found = remote.call(master, member.ip, "pigsty_etcd.roster", deadline="etcd.request")
            return member.ip, membership.living(found["members"])
        except CliError as error:
            reasons.append(str(error))
    why = "; ".join(reasons) or "the inventory has no member"
    raise Refused(f"no member of etcd can be asked who belongs to it: {why}")


def _healthy(members: Sequence[Living]) -> frozenset[str]:
    hosts = [member.host for member in members]
    states = deployment.ask(health.etcd, hosts)
    return frozenset(h for h, state in zip(hosts, states, strict=True) if state == "ok")


def _await_patroni(master: Master, staying: Sequence[str], *, test: bool) -> None:
    """Wait until every Patroni knows one of those that stay."""
    ages: list[float] = []
    for host in staying:
        with suppress(CliError):
            words = remote.call(master, host, "pigsty_etcd.age", deadline="etcd.request")
            ages.append(float(words["seconds"]))
        if ages and membership.unknown(ages) == 0:
            return
    left = membership.unknown(ages)
    message(
        f"all that stay are new: a Patroni may know none of them for {left:.0f} s more, and would "
        "lose the store" + ("" if test else "; waiting for that")
    )
    if not test:
        end = time.monotonic() + left
        what = "every Patroni knows a member that stays"
        progress.wait(lambda: time.monotonic() >= end, "etcd.known", what)


def _phases(master: Master, topology: Topology, test: bool, *others: str) -> Phases:
    hosts = dict.fromkeys((*topology.nodes, *others))
    phases = Phases(
        master, topology, applying.presence(master, tuple(hosts), topology.admin_ip), test
    )
    phases.ready()
    return phases


def _tell(phases: Phases, others: Sequence[str]) -> None:
    """Tell those who use the store, and the other members, who belongs to it by the inventory."""
    topology = phases.topology
    infra = tuple(node.ip for node in topology.infra)
    work: dict[str, tuple[str, ...]] = {}
    clients: Sequence[str] = tuple(topology.pg_instances)
    told: list[tuple[Sequence[str], tuple[str, ...]]] = [
        (clients, CLIENTS),
        (others, ("etcd",)),
        (infra, ("infra",)),
    ]
    for hosts, states in told:
        for host in hosts:
            work[host] = (*work.get(host, ()), *states)
    groups: dict[tuple[str, ...], list[str]] = {}
    for host, states in work.items():
        groups.setdefault(states, []).append(host)
    jobs = tuple(Job(tuple(hosts), states) for states, hosts in groups.items())
    phases.run("everybody who uses it", jobs)


def _report(phases: Phases, output: str, *, test: bool) -> int:
    results = [phases.results[h] for h in phases.results]
    names = {host: node.name for host, node in phases.topology.nodes.items()}
    if output == "table":
        report.show(results, names, output, test=test, told=test)
    else:
        emit({"test": test, "hosts": [result.to_dict() for result in results]}, output)
    return report.exit_code(results)
