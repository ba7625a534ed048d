"""`pigsty node rm`: machines leave; that the others forget them, events bring about."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from pigsty import applied, dcs, departure, drift, events, journal, keyspace
from pigsty.clients import keys
from pigsty.clients.stores import Access
from pigsty.departure import Departure, World
from pigsty.errors import ClientError
from pigsty.targets import Job
from pigsty.topology import Topology
from pigsty_cli import applying, deployment, lock, remote, report, ssh
from pigsty_cli.commands.pgsql_operations import CA, KEY
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message
from pigsty_cli.saltapi import Master
from pigsty_cli.scaling import Phases

STATES = ("node.remove",)


def command(hosts: Sequence[str], *, dead: bool, yes: bool, test: bool, output: str) -> int:
    """Carry out ``pigsty node rm``; return the exit code."""
    topology = deployment.usable(find(PLACES[0])).topology
    with lock.held(f"pigsty node rm {' '.join(hosts)}"), Master() as master:
        found = applying.presence(master, hosts, topology.admin_ip)
        plans = [
            departure.departure(topology, world, dead=dead)
            for world in _worlds(master, topology, hosts, found)
        ]
        for sentence in (sentence for plan in plans for sentence in plan.sentences):
            message(sentence)
        if not (test or yes) and sys.stdin.isatty():
            click.confirm("Go on?", default=False, abort=True, err=True)
        phases = Phases(master, topology, found, test)
        clean = tuple(plan.host for plan in plans if plan.clean)
        good = True
        if clean:
            phases.ready()
            # A host out of the inventory has no pillar: something has to stand in it.
            good = phases.run("taken out", (Job(clean, STATES),), {"pigsty_departure": True})
        if good and not test:
            for plan in plans:
                _forget(master, plan)
    results = list(phases.results.values())
    if output == "table":
        report.show(results, {}, output, test=test, told=test)
    else:
        emit({"test": test, "hosts": [plan.host for plan in plans],
              "results": [result.to_dict() for result in results]}, output)  # fmt: skip
    if good and not test:
        message(f"What follows by itself: pigsty events {' '.join(hosts)}")
    return report.exit_code(results) if results else 0


def _worlds(
    master: Master, topology: Topology, hosts: Sequence[str], found: applying.Presence
) -> list[World]:
    """Return what is known of some machines; the stores are asked, not the inventory.

    Raises:
        Refused: a store can't be asked who lives there.
    """
    residents, etcd = _residents(topology), _etcd(master, topology)
    accepted = {key.id for key in keys.read(keys.PKI) if key.state == "accepted"}
    return [
        World(
            host=host,
            accepted=host in accepted,
            answers=host in found.up,
            missing=found.missing.get(host, ""),
            postgres=tuple(residents.get(host, ())),
            etcd=etcd.get(host, ""),
        )
        for host in hosts
    ]


def _residents(topology: Topology) -> dict[str, list[tuple[str, str]]]:
    """Return the members of PostgreSQL clusters by their addresses, from all stores."""
    access, found = Access(Path(KEY), Path(CA).parent), dict[str, list[tuple[str, str]]]()
    try:
        for source in (access.source(topology, kind) for kind in keyspace.KINDS):
            if source is not None:
                pairs = source.store.read(source.namespace).pairs
                for host, members in dcs.residents(pairs).items():
                    found.setdefault(host, []).extend(members)
    except ClientError as error:
        raise Refused(f"who lives there can't be asked: {error}") from error
    return found


def _etcd(master: Master, topology: Topology) -> dict[str, str]:
    """Return the members of etcd by their addresses, as etcd itself knows them."""
    reasons = []
    for member in topology.etcd:
        try:
            remote.refresh(master, member.ip)
            rows = remote.call(master, member.ip, "pigsty_etcd.roster", deadline="etcd.request")
        except CliError as error:
            reasons.append(str(error))
            continue
        # A member that hasn't started yet has no name.
        return {
            url.rpartition(":")[0].rpartition("/")[2]: row["name"] or f"member {row['id']}"
            for row in rows["members"]
            for url in row["peers"]
        }
    if not topology.etcd:
        return {}
    raise Refused(f"no member of etcd can be asked who belongs to it: {'; '.join(reasons)}")


def _forget(master: Master, plan: Departure) -> None:
    """Have the minion end, and everything forgotten that is known of it here."""
    host = plan.host
    if plan.clean:
        remote.call(master, host, "pigsty_departure.farewell", deadline="node.systemctl")
    if plan.key:
        master.forget(host)
    ssh.remember(host, ())
    with suppress(journal.JournalError):
        record = journal.Journal(journal.PATH)
        applied.forget(record, host)
        for kind in ("node.key", "node.leave", drift.KIND):
            record.forget(kind, host)
        record.close()
    master.fire(events.tag("node.leave", id=host), {"id": host})
