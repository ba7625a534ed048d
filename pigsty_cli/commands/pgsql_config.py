"""`pigsty pgsql config`."""

from __future__ import annotations

import click

from pigsty_cli.errors import UsageError
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

COLUMNS = {
    "name": "SETTING",
    "declared": "DECLARED",
    "origin": "BY",
    "dcs": "DCS",
    "runs": "RUNS WITH",
    "source": "SET BY",
    "pending": "WAITS FOR A RESTART",
    "notes": "NOTES",
}


@click.command("config")
@click.argument("cluster")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also what simply is the preset's.")
@click.option("--apply", "apply_", is_flag=True, help="Bring the settings to what is declared.")
@click.option("--test", is_flag=True, help="Show exactly what --apply would change; do nothing.")
@inventory_option
@output_option
@click.pass_context
def config(
    ctx: click.Context,
    cluster: str,
    names: tuple[str, ...],
    everything: bool,
    apply_: bool,
    test: bool,
    inventory: str | None,
    output: str,
) -> None:
    """Show settings of CLUSTER (or some NAMES): declared, in the DCS, and in force on each member.

    BY is what in the inventory gives a setting its value: pg_parameters, pg_libs, or the preset of
    pg_conf. SET BY is who has set what PostgreSQL runs with: Patroni, or a person's ALTER SYSTEM,
    which wins over the inventory and is never taken back, but named. Without --all the settings are
    left out that simply are the preset's.

    Effect: none without --apply. With it settings change by a reload; nothing is restarted.

    \b
    Examples:
      pigsty pgsql config pg-test
      pigsty pgsql config pg-test work_mem max_connections -o json
      pigsty pgsql config pg-test --test
      pigsty pgsql config pg-test --apply
    """
    from pigsty_cli import aspects, deployment, pgsql_looks

    if apply_ or test:
        if names:
            raise UsageError("--apply and --test are for everything that is declared: no names")
        where = aspects.members("pgsql.patroni")
        what = f"pigsty pgsql config {cluster} --apply"
        ctx.exit(aspects.carry_out(cluster, where, what, output, test=test))
    from pigsty import configuration

    declared = pgsql_looks.named(deployment.load(find(inventory)), cluster)
    looks = pgsql_looks.ask(declared, "pigsty_config.look")
    rows = configuration.rows(looks, pgsql_looks.leader(looks))
    shown = rows if everything and not names else configuration.interesting(rows, names)
    if output != "table":
        emit([row.to_dict() for row in shown], output)
    elif shown:
        emit(configuration.table(shown), output, columns=COLUMNS)
    else:
        message(f"{cluster}: nothing but the preset's settings (--all shows them)")
    waiting = sorted({member for row in rows for member in row.pending})
    if waiting:
        message(
            f"{', '.join(waiting)}: settings wait for a restart of PostgreSQL "
            f"(pigsty pgsql restart {cluster} --pending)"
        )


COMMANDS = (config,)
