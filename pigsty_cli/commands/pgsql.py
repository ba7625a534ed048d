"""`pigsty pgsql`: PostgreSQL clusters as they live."""

from __future__ import annotations

from typing import Any

import click

from pigsty_cli.commands import (
    pgsql_backup,
    pgsql_config,
    pgsql_extensions,
    pgsql_objects,
    pgsql_operations,
    pgsql_restore,
    pgsql_scaling,
    pgsql_show,
    pgsql_svc,
)
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

COLUMNS = {
    "cluster": "CLUSTER",
    "member": "MEMBER",
    "host": "HOST",
    "declared": "DECLARED",
    "role": "ROLE",
    "state": "STATE",
    "timeline": "TL",
    "lag": "LAG",
    "pending_restart": "PENDING RESTART",
}


@click.group("pgsql")
def command() -> None:
    """PostgreSQL clusters: members, live roles, lag, and what is done to them.

    \b
    Examples:
      pigsty pgsql list
      pigsty pgsql switchover pg-test --test
    """


@command.command("list")
@click.argument("cluster", required=False)
@inventory_option
@output_option
def list_(cluster: str | None, inventory: str | None, output: str) -> None:
    """Show the members of CLUSTER (of all clusters without it), with their live roles.

    Every member's Patroni is asked at once, so members that are down cost no more than one short
    deadline and are shown as `unreachable`. DECLARED is the role in the inventory: who bootstraps
    and who is preferred. ROLE is who leads now. LAG is in bytes.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty pgsql list
      pigsty pgsql list pg-test -o json
    """
    from pigsty import summary
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import attempts, deployment

    topology = deployment.load(find(inventory))
    clusters = list(topology.pg_clusters.values())
    if cluster is not None:
        if cluster not in topology.pg_clusters:
            raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
        clusters = [topology.pg_clusters[cluster]]
    found = deployment.live_members(clusters)
    rows = [row.to_dict() for members in found.values() for row in members]
    emit(rows if output != "table" else [_shown(row) for row in rows], output, columns=COLUMNS)
    for name, members in found.items():
        leaders = [row for row in members if row.role in ("primary", "standby_leader")]
        if not leaders:
            message(f"{name} has no leader right now")
        if any(row.paused for row in members):
            message(summary.paused(name))
        cut = attempts.read(name)
        if cut is not None:
            message(cut.text)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the table shows it: `yes` only where there is something to do."""
    return {**row, "pending_restart": "yes" if row["pending_restart"] else ""}


for _operation in (
    *pgsql_operations.COMMANDS,
    *pgsql_backup.COMMANDS,
    *pgsql_restore.COMMANDS,
    *pgsql_objects.COMMANDS,
    *pgsql_scaling.COMMANDS,
    *pgsql_svc.COMMANDS,
    *pgsql_extensions.COMMANDS,
    *pgsql_config.COMMANDS,
    *pgsql_show.COMMANDS,
):
    command.add_command(_operation)
