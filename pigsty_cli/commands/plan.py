"""`pigsty plan`: what an edit of the inventory touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pigsty.wording import counted
from pigsty_cli.output import emit, message, output_option

if TYPE_CHECKING:
    from pigsty.plan import Difference, Plan

COLUMNS = {"host": "HOST", "name": "NODE", "states": "STATES", "why": "BECAUSE"}


@click.command("plan")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@output_option
def command(targets: tuple[str, ...], output: str) -> None:
    """Show which states of which hosts the inventory would change, and why.

    Compared is what each host gets from the inventory of now with what it was last applied with;
    no host is asked. Below the table stands every difference once, with the hosts that share it;
    secrets are masked. Whatever was taken out of the inventory and is still there is named: nothing
    is removed by an apply.

    Effect: none. `pigsty apply --changed` carries out what is shown. Run it on the admin node.

    \b
    Examples:
      pigsty plan
      pigsty plan pg-test -o json
    """
    from pigsty_cli import planning

    _topology, plan = planning.look(targets, told=True)
    if output != "table":
        emit(_plain(plan), output)
        return
    if plan.hosts:
        rows = [{"host": h.host, "name": h.name, "states": " ".join(h.states), "why": h.why
                 or counted(len(h.differences), "difference")} for h in plan.hosts]  # fmt: skip
        emit(rows, columns=COLUMNS)
        for line in _differences(plan):
            click.echo(line)
    else:
        message(planning.NOTHING)
    for text in plan.human:
        click.echo(f"\nneeds a person: {text}")


def _plain(plan: Plan) -> dict[str, Any]:
    return {
        "hosts": [
            {
                "host": host.host,
                "name": host.name,
                "states": list(host.states),
                "because": host.why,
                "differences": [
                    {"path": d.path, "old": list(d.old), "new": list(d.new), "states": d.states}
                    for d in host.differences
                ],
            }
            for host in plan.hosts
        ],
        "stages": [
            [{"hosts": list(j.hosts), "states": list(j.states) or ["highstate"]} for j in stage]
            for stage in plan.stages()
        ],
        "human": list(plan.human),
    }


def _differences(plan: Plan) -> list[str]:
    """Return the differences as lines, each once, with the hosts that share it."""
    shared: dict[Difference, list[str]] = {}
    for host in plan.hosts:
        for difference in host.differences:
            shared.setdefault(difference, []).append(host.name or host.host)
    lines = []
    for difference, names in shared.items():
        lines += ["", f"{difference.path}  ({', '.join(names)})"]
        if len(difference.old) == len(difference.new) == 1:
            lines.append(f"    {difference.old[0]} → {difference.new[0]}")
            continue
        lines += [f"    - {line}" for line in difference.old]
        lines += [f"    + {line}" for line in difference.new]
    return lines
