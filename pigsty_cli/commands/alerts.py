"""`pigsty alerts`: what is wrong now, what it means, and what to type next."""

from __future__ import annotations

import click

from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

COLUMNS = {
    "level": "LEVEL",
    "alert": "ALERT",
    "state": "STATE",
    "since": "SINCE (UTC)",
    "summary": "SUMMARY",
}
RULES = {"group": "GROUP", "rule": "RULE", "error": "ERROR"}


@click.command("alerts")
@click.option("--pending", is_flag=True, help="Also those that have not lasted long enough yet.")
@click.option("--rules", is_flag=True, help="Show the rules that can't be computed instead.")
@inventory_option
@output_option
def command(pending: bool, rules: bool, inventory: str | None, output: str) -> None:
    """Show the alerts that fire, the worst first, each with the command to run next.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty alerts
      pigsty alerts --pending -o json
      pigsty alerts --rules
    """
    from pigsty import watching
    from pigsty_cli import deployment
    from pigsty_cli.watching import ask

    topology = deployment.load(find(inventory))
    if rules:
        _infra, groups = ask(topology, lambda _infra, prometheus: prometheus.rules())
        broken = watching.failing(groups)
        if output == "table" and not broken:
            count = sum(len(group["rules"]) for group in groups)
            message(f"All {count} rules are computed.")
            return
        emit(broken, output, columns=RULES)
        return
    _infra, live = ask(topology, lambda _infra, prometheus: prometheus.alerts())
    rows = watching.alerts(live, pending)
    if output != "table":
        emit([row.to_dict() for row in rows], output)
        return
    if not rows:
        message("No alert is firing.")
        return
    emit([row.to_dict() for row in rows], columns=COLUMNS)
    for text in watching.explained(rows):
        message(text)
