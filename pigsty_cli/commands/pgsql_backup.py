"""`pigsty pgsql backup|backups`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.errors import CliError, Refused
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from pigsty.topology import PgCluster

COLUMNS = {
    "label": "LABEL",
    "type": "TYPE",
    "start": "START",
    "stop": "STOP",
    "size": "SIZE",
    "stored": "STORED",
    "wal": "WAL",
    "error": "DAMAGED",
}


@click.command("backup")
@click.argument("cluster")
@click.option(
    "--type",
    "kind",
    type=click.Choice(("full", "diff", "incr")),
    default="incr",
    show_default=True,
    help="All data, what changed since the last full one, or since the last one.",
)
@inventory_option
@output_option
def backup(cluster: str, kind: str, inventory: str | None, output: str) -> None:
    """Make a backup of CLUSTER, on the member that leads now.

    Without a full backup before it, it is a full one. Backups and WAL that the repository's
    retention no longer wants are removed after it.

    Effect: reads all data files once; nobody has to wait for it.

    \b
    Examples:
      pigsty pgsql backup pg-meta
      pigsty pgsql backup pg-meta --type full
    """
    from pigsty.wording import took
    from pigsty_cli import progress, remote
    from pigsty_cli.saltapi import Master

    cluster_ = declared(cluster, inventory)
    host = leader(cluster_)
    what = f"{kind} backup of {cluster} on {host}"
    begin = time.monotonic()
    with Master() as master:
        remote.refresh(master, host)
        with progress.waiting(what, host) as screen:
            found = remote.call(
                master,
                host,
                "pigsty_pgbackrest.backup",
                {"kind": kind},
                deadline="backup.run",
                screen=screen,
            )
    message(f"{what}: done in {took(time.monotonic() - begin)}")
    emit([_row(found)] if output == "table" else found, output, columns=COLUMNS)


@click.command("backups")
@click.argument("cluster")
@inventory_option
@output_option
def backups_(cluster: str, inventory: str | None, output: str) -> None:
    """List the backups of CLUSTER, and the window that it can be restored to.

    SIZE is that of the database, STORED what the backup added to the repository, in bytes. Times
    are in UTC.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty pgsql backups pg-meta
      pigsty pgsql backups pg-meta -o json
    """
    from pigsty import backups
    from pigsty_cli import remote
    from pigsty_cli.saltapi import Master

    cluster_ = declared(cluster, inventory)
    host = leader(cluster_)
    with Master() as master:
        remote.refresh(master, host)
        found = remote.call(master, host, "pigsty_pgbackrest.look", deadline="backup.info")
    repository = backups.parse(found["info"], cluster)
    if not repository.readable:
        raise CliError(f"the repository of {cluster}: {repository.message}")
    window = repository.window
    rows = [entry.to_dict() for entry in repository.backups]
    if output != "table":
        data = {
            "cluster": cluster,
            "host": host,
            "status": repository.message,
            "backups": rows,
            "window": window,
        }
        emit(data, output)
        return
    if rows:
        emit([_row(row) for row in rows], output, columns=COLUMNS)
    if window["from"]:
        message(
            f"{cluster} can be restored to any point after {window['from']}, "
            f"up to the end of WAL segment {repository.wal} on {host}"
        )
    else:
        message(f"{cluster} has no backup on {host}: {repository.message}")


def declared(name: str, inventory: str | None) -> PgCluster:
    """Return a cluster that has backups.

    Raises:
        TargetError: there is none of that name.
        Refused: it has no backups.
    """
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import deployment

    clusters = deployment.load(find(inventory)).pg_clusters
    if name not in clusters:
        raise TargetError(nearest(name, clusters, "cluster"))
    if not clusters[name].vars["pgbackrest_enabled"]:
        raise Refused(f"{name} has no backups: pgbackrest_enabled is false")
    return clusters[name]


def leader(cluster: PgCluster) -> str:
    """Return the address of the member that leads now.

    Raises:
        CliError: nobody does.
    """
    from pigsty_cli import deployment

    for row in deployment.live_members([cluster])[cluster.name]:
        if row.role == "primary":
            return row.host
    raise CliError(f"{cluster.name} has no leader right now: `pigsty pgsql list {cluster.name}`")


def _row(found: dict[str, Any]) -> dict[str, Any]:
    first, last = found["wal_start"], found["wal_stop"]
    wal = first if first == last else f"{first}…{last}"
    return {**found, "wal": wal, "error": "yes" if found["error"] else ""}


COMMANDS = (backup, backups_)
