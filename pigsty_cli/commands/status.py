"""`pigsty status`: the whole deployment on one screen."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from pigsty.wording import counted
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from pigsty.summary import MemberRow
    from pigsty.topology import Topology
    from pigsty_cli.deployment import Checked

NODES = {
    "host": "HOST",
    "name": "NODE",
    "modules": "MODULES",
    "minion": "MINION",
    "last_apply": "LAST APPLY",
}
ETCD = {"member": "ETCD", "host": "HOST", "health": "HEALTH"}
CLUSTERS = {
    "cluster": "CLUSTER",
    "leader": "LEADER",
    "up": "UP",
    "members": "MEMBERS",
    "lag": "MAX LAG",
    "state": "STATE",
}
CONNECTIONS = {"cluster": "CLUSTER", "service": "SERVICE", "port": "PORT", "purpose": "PURPOSE"}


@click.command("status")
@click.option("--connect", is_flag=True, help="Show the clusters and how to connect to them.")
@inventory_option
@output_option
def command(connect: bool, inventory: str | None, output: str) -> None:
    """Show nodes, etcd, clusters with their live leaders, and the inventory's state.

    MINION tells whether the Salt minion answers; LAST APPLY is the last `pigsty apply` from this
    admin node. With --connect: members with live roles, and a psql command to paste for each
    service. Passwords stand in them only where they are public anyway (the sandbox).

    Effect: none, it only reads.

    \b
    Examples:
      pigsty status
      pigsty status --connect
    """
    from pigsty_cli import deployment

    path = find(inventory)
    if connect:
        _connect(deployment.load(path), output)
        return
    checked, served = deployment.served(path)
    with ThreadPoolExecutor(max_workers=2) as pool:
        clusters = pool.submit(deployment.live_members, checked.topology.pg_clusters.values())
        health = pool.submit(deployment.etcd_health, checked.topology)
        # In this thread, because Salt wants the main one, and the two others wait for the network.
        minions, why = asked(checked.topology)
        data = _collected(checked, served, minions, clusters, health)
    if output != "table":
        emit(data, output)
        return
    _show(data)
    if why:
        message(f"The minions couldn't be asked: {why}")


def _collected(
    checked: Checked,
    served: str,
    minions: dict[str, str],
    clusters: Future[dict[str, list[MemberRow]]],
    health: Future[list[dict[str, str]]],
) -> dict[str, Any]:
    from pigsty import roster
    from pigsty.clients import keys
    from pigsty_cli import history

    known = history.read()
    inventory = checked.topology.inventory
    return {
        "inventory": {
            "file": str(checked.path),
            "checksum": inventory.checksum,
            "valid": not checked.errors,
            "served": served,
            "errors": len(checked.errors),
            "warnings": len(checked.findings) - len(checked.errors),
        },
        "nodes": [
            {
                "host": host,
                "name": node.name,
                "modules": list(node.modules),
                "minion": minions.get(host, "?"),
                "last_apply": _last(known.get(host)),
            }
            for host, node in checked.topology.nodes.items()
        ],
        "keys": [
            {"id": key.id, "state": key.state, "fingerprint": key.fingerprint}
            for key in roster.refused(keys.read(keys.PKI))
        ],
        "etcd": health.result(),
        "clusters": [_cluster(name, rows) for name, rows in clusters.result().items()],
    }


def asked(topology: Topology) -> tuple[dict[str, str], str]:
    """Return ``up`` or why not for each host, and what kept the minions from being asked."""
    from pigsty.deadlines import DEADLINES
    from pigsty_cli.saltapi import Master, SaltError

    hosts = tuple(topology.nodes)
    try:
        with Master() as master:
            asked = master.publish(hosts, "test.ping")
            connected = master.connected() | {topology.admin_ip}
            limit = DEADLINES["status.request"]
            answers = master.collect(asked, lambda host: limit if host in connected else 0.0)
    except SaltError as error:
        return {}, str(error)
    found = {}
    for host in hosts:
        if host in answers:
            found[host] = "up"
        elif host not in asked.minions:
            found[host] = "no key"
        else:
            found[host] = "no answer" if host in connected else "down"
    return found, ""


def _last(record: dict[str, Any] | None) -> str:
    if not record:
        return ""
    from datetime import datetime

    time = datetime.fromisoformat(record["time"]).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{record['status']} {time}"


def _cluster(name: str, rows: Sequence[MemberRow]) -> dict[str, Any]:
    """Return one cluster in one line."""
    from pigsty.clients.patroni import RUNNING
    from pigsty.summary import UNREACHABLE

    leader = next((r.member for r in rows if r.role in ("primary", "standby_leader")), "")
    up = sum(row.state in RUNNING for row in rows)
    notes = [f"{row.member} {row.state}" for row in rows if row.state not in RUNNING]
    if all(row.state == UNREACHABLE for row in rows):
        notes = ["no member can be reached"]
    elif not leader:
        notes.insert(0, "no leader")
    if any(row.paused for row in rows):
        notes.append("paused")
    notes += [f"{row.member} waits for a restart" for row in rows if row.pending_restart]
    return {
        "cluster": name,
        "leader": leader,
        "up": up,
        "members": len(rows),
        "lag": max((row.lag for row in rows if row.lag is not None), default=None),
        "state": ", ".join(notes) or "ok",
        "detail": [row.to_dict() for row in rows],
    }


def _show(data: dict[str, Any]) -> None:
    inventory = data["inventory"]
    verdict = "valid"
    if not inventory["valid"]:
        verdict = f"INVALID: {counted(inventory['errors'], 'error')}"
        verdict += f"; served is {inventory['served']}, and nothing new is applied"
    if inventory["warnings"]:
        verdict += f", {counted(inventory['warnings'], 'warning')}"
    click.echo(f"{inventory['file']}  {inventory['checksum'][:12]}  {verdict}\n")
    nodes = [{**node, "modules": " ".join(node["modules"])} for node in data["nodes"]]
    emit(nodes, columns=NODES)
    for key in data["keys"]:
        # On standard error: it is nothing that a table's reader expects.
        message(f"A key of {key['id']} is {key['state']}: `pigsty node list` tells more")
    for key, columns in (("etcd", ETCD), ("clusters", CLUSTERS)):
        if data[key]:
            click.echo("")
            emit(data[key], columns=columns)


def _connect(topology: Topology, output: str) -> None:
    from pigsty import summary
    from pigsty_cli import deployment
    from pigsty_cli.commands.pgsql import COLUMNS

    clusters = topology.pg_clusters
    rows = [r for found in deployment.live_members(clusters.values()).values() for r in found]
    ways = [way for c in clusters.values() for way in summary.connections(topology, c)]
    if output != "table":
        emit(
            {"members": [r.to_dict() for r in rows], "connections": [w.to_dict() for w in ways]},
            output,
        )
        return
    columns = {key: COLUMNS[key] for key in ("member", "host", "declared", "role", "state", "lag")}
    emit([row.to_dict() for row in rows], columns=columns)
    for way in ways:
        click.echo(f"\n# {way.cluster}, {way.service}: {way.purpose}".rstrip(": "))
        click.echo(f"psql {shlex.quote(way.url)}")
