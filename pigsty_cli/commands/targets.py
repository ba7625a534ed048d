"""`pigsty targets`: what Prometheus looks at, and whether it gets an answer."""

from __future__ import annotations

import click

from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

COLUMNS = {
    "job": "JOB",
    "component": "COMPONENT",
    "cls": "CLUSTER",
    "ins": "INSTANCE",
    "address": "ADDRESS",
    "health": "HEALTH",
    "error": "ERROR",
}


@click.command("targets")
@click.argument("scope", required=False)
@click.option("--down", is_flag=True, help="Only those that are not up.")
@inventory_option
@output_option
def command(scope: str | None, down: bool, inventory: str | None, output: str) -> None:
    """Show what Prometheus looks at: SCOPE is a cluster, an instance or an address.

    HEALTH is up, down, unknown (not looked at yet) or missing: the inventory declares it, and
    Prometheus doesn't know it, so apply the infra nodes. Targets that people added themselves are
    shown too; -o json tells them apart (declared).

    Effect: none, it only reads.

    \b
    Examples:
      pigsty targets
      pigsty targets pg-test
      pigsty targets --down -o json
    """
    from pigsty import watching
    from pigsty_cli import deployment
    from pigsty_cli.watching import ask

    topology = deployment.load(find(inventory))
    infra, live = ask(topology, lambda _infra, prometheus: prometheus.targets())
    rows = watching.compare(watching.declared(topology, infra), live, scope)
    shown = [row.to_dict() for row in rows if not down or row.health != "up"]
    if output == "table" and not shown:
        message("Every target is up." if down and rows else "There is no such target.")
        return
    emit(shown, output, columns=COLUMNS)
    if output == "table":
        up = sum(row.health == "up" for row in rows)
        message(f"{up} of {len(rows)} targets are up, as {infra.name} ({infra.ip}) sees them.")
