"""`pigsty pgsql restore|drill`."""

from __future__ import annotations

from typing import Any

import click

from pigsty_cli.output import emit, inventory_option, message, output_option

RESTORED = ("host", "port", "socket", "timeline", "last_commit", "lsn")


@click.command("restore")
@click.argument("cluster")
@click.option("--to", "point", metavar="POINT", help="Where to: see above.")
@click.option("--side", "port", type=click.IntRange(1024, 65535), metavar="PORT", help="Beside it.")
@click.option("--remove", is_flag=True, help="Delete the copy that --side made.")
@click.option("--again", metavar="MEMBER", help="Go on with one that was cut off, on its machine.")
@click.option("--set", "label", default="", metavar="LABEL", help="The backup to begin with.")
@click.option(
    "--timeline", default="", metavar="N", help="The timeline to follow; default: the leader's."
)
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@inventory_option
@output_option
def restore(**options: Any) -> None:
    """Bring CLUSTER back to a point in time, in place, or beside it on another port for a look.

    POINT is `latest`, `immediate` (the end of the backup), a time such as '2026-03-01
    12:00:00+00' (without a zone: UTC), an LSN, a transaction's number, or the name of a restore
    point; `time:`, `lsn:`, `xid:` and `name:` before it say which one is meant. A point before the
    first backup or in the future is refused before anything is touched.

    With --side PORT the copy is made on the leader's machine, in /pg/side, and opens as a plain
    server that archives nothing; the live cluster doesn't notice. --remove deletes it.

    A restore that was cut off leaves the cluster stopped; its last words name the command that goes
    on with --again.

    Effect (without --side): the cluster is stopped, everything after POINT is undone, replicas are
    copied anew, and a full backup is made. What is undone stays in the archive.

    \b
    Examples:
      pigsty pgsql restore pg-meta --to '2026-03-01 12:00:00+00' --side 5440
      pigsty pgsql restore pg-meta --remove
      pigsty pgsql restore pg-meta --to '2026-03-01 12:00:00+00' --test
    """
    from pigsty_cli import restoring

    rows, output = restoring.command(**options)
    if rows:
        emit(rows, output, columns=RESTORED if "lsn" in rows[0] else None)


@click.command("drill")
@click.argument("cluster")
@inventory_option
@output_option
def drill(cluster: str, inventory: str | None, output: str) -> None:
    """Prove that CLUSTER can be restored: do it beside the live cluster, and look for a row.

    A row is written on the leader (table monitor.canary of database postgres) and archived; then
    the newest backup is restored with all WAL after it, opened, and must hold that very row. The
    copy is deleted in any case. The exit code tells: for cron, and for alerts.

    Effect: one row; space and time for a copy on the leader's machine.

    \b
    Examples:
      pigsty pgsql drill pg-meta
    """
    from pigsty_cli import restoring

    found = restoring.drill(cluster, inventory)
    message(f"{cluster} can be restored: the row of {found['written']} came back")
    emit([found] if output == "table" else found, output)


COMMANDS = (restore, drill)
