"""`pigsty pgsql restore|pitr|drill`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pigsty_cli.output import emit, inventory_option, message, output_option

RESTORED = ("host", "port", "socket", "timeline", "last_commit", "lsn")


def _point_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says where to."""
    for option in (
        click.option(
            "--timeline", default="", metavar="N", help="The timeline to follow, else the leader's."
        ),
        click.option("--set", "label", default="", metavar="LABEL", help="Backup to begin with."),
        click.option("--exclusive", is_flag=True, help="Stop right before POINT, not behind it."),
        click.option("--to", "point", metavar="POINT", help="Where to; default: pg_pitr."),
    ):
        function = option(function)
    return function


@click.command("restore")
@click.argument("cluster")
@_point_options
@click.option("--side", "port", type=click.IntRange(1024, 65535), metavar="PORT", help="Where.")
@click.option("--remove", is_flag=True, help="Delete the copy that --side made.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@inventory_option
@output_option
def restore(**options: Any) -> None:
    """Restore CLUSTER to a point in time beside it, on another port, for a look.

    POINT is `latest`, `immediate` (the end of the backup), a time such as '2026-03-01
    12:00:00+00' (without a zone: UTC), an LSN, a transaction's number, or the name of a restore
    point; `time:`, `lsn:`, `xid:` and `name:` before it say which one is meant. A point before the
    first backup or in the future is refused before anything is touched. Without --to, `pg_pitr` of
    the inventory says it; its `cluster` may be another one, whose copy then stands beside this one.

    The copy is made on the leader's machine, in /pg/side, and opens as a plain server that
    archives nothing. --remove deletes it. To bring the cluster itself back: `pigsty pgsql pitr`.

    Effect: space and time on the leader's machine; the live cluster doesn't notice.

    \b
    Examples:
      pigsty pgsql restore pg-meta --to '2026-03-01 12:00:00+00' --side 5440
      pigsty pgsql restore pg-meta --remove
    """
    from pigsty_cli import restoring

    rows, output = restoring.command(**options)
    if rows or output != "table":
        emit(rows, output, columns=RESTORED)


@click.command("pitr")
@click.argument("cluster")
@_point_options
@click.option("--again", is_flag=True, help="Go on with a recovery that was cut off.")
@click.option("--on", metavar="MEMBER", help="Where, for a cluster without a leader.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@click.option("--test", is_flag=True, help="Show what would be undone; do nothing.")
@inventory_option
@output_option
def pitr(**options: Any) -> None:
    """Bring CLUSTER itself back to a point in time; what came after it is undone.

    POINT is as for `pigsty pgsql restore`, which shows it beside the live cluster first. What would
    be undone is measured and shown: time, transactions, WAL.

    A recovery that is cut off, also by a power cut, leaves the cluster stopped and a record on this
    node: `pigsty pgsql list` and `pigsty apply` say so, and --again goes on where it was; with --to
    it goes to another point, of which `latest` gives up nothing.

    Effect: the cluster is stopped, everything after POINT is undone, replicas are copied anew, and
    a full backup is made. What is undone stays in the archive.

    \b
    Examples:
      pigsty pgsql pitr pg-meta --to '2026-03-01 12:00:00+00' --test
      pigsty pgsql pitr pg-meta --to before-migration
      pigsty pgsql pitr pg-meta --again
    """
    from pigsty_cli import recovering

    rows, output = recovering.command(**options)
    if rows or output != "table":
        emit(rows, output, columns=RESTORED)


@click.command("drill")
@click.argument("cluster")
@inventory_option
@output_option
def drill(cluster: str, inventory: str | None, output: str) -> None:
    """Prove that CLUSTER can be restored: do it beside the live cluster, and look for a row.

    A row is written on the leader (table monitor.canary of database postgres) and archived; then
    the newest backup is restored with all WAL after it, opened, and must hold that very row. The
    copy is deleted in any case. The exit code tells: for cron. For alerts, the outcome stands in
    /var/lib/prometheus/node-exporter/pigsty_drill_CLUSTER.prom.

    Effect: one row; space and time for a copy on the leader's machine.

    \b
    Examples:
      pigsty pgsql drill pg-meta
    """
    from pigsty_cli import restoring

    found = restoring.drill(cluster, inventory)
    message(f"{cluster} can be restored: the row of {found['written']} came back")
    emit([found] if output == "table" else found, output)


COMMANDS = (restore, pitr, drill)
