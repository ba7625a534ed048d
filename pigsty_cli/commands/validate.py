"""`pigsty validate`: every error and warning of an inventory."""

from __future__ import annotations

from pathlib import Path

import click

from pigsty.findings import Finding, has_errors
from pigsty_cli import exitcodes
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

EPILOG = """\b
Examples:
  pigsty validate                     the inventory of this machine
  pigsty validate pigsty.yml
  pigsty validate --show hba          the access rules of every cluster, as rendered
  pigsty validate -o json pigsty.yml | jq '.[] | select(.severity == "error")'
\b
Exit codes: 0 without errors (warnings are allowed), 1 with errors, 2 no such file."""

#: Heading of each kind, its colour on a terminal.
KINDS = {"error": ("ERROR", "red"), "warning": ("WARNING", "yellow")}


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--show",
    "wanted",
    type=click.Choice(("hba",)),
    help="Print what it renders to instead: hba, the access rules by declared roles.",
)
@inventory_option
@output_option
@click.pass_context
def command(
    ctx: click.Context, file: Path | None, wanted: str | None, inventory: str | None, output: str
) -> None:
    """Check an inventory and print every error and warning, with line and fix.

    FILE is an inventory; by default /etc/pigsty/pigsty.yml, else ./pigsty.yml.
    """
    from pigsty.validate import validate

    path = find(file or inventory)
    findings = validate(path)
    if wanted and not has_errors(findings):
        show_hba(path, output)
        message(summary(path, findings))
        ctx.exit(exitcodes.OK)
    show(path, findings, output)
    if not has_errors(findings):
        for line in elsewhere(path):
            message(line)
    ctx.exit(exitcodes.FAILED if has_errors(findings) else exitcodes.OK)


def show(path: Path, findings: tuple[Finding, ...], fmt: str) -> None:
    """Print findings on standard output, and a summary on standard error.

    Args:
        path: the inventory.
        findings: what validation found, in the order of the file.
        fmt: ``table`` (errors first, then warnings), ``json`` or ``yaml``.
    """
    if fmt != "table":
        emit([finding.to_dict() for finding in findings], fmt)
    else:
        for kind, (heading, colour) in KINDS.items():
            for finding in findings:
                if finding.severity == kind:
                    click.echo(f"{click.style(heading, fg=colour)} {text(path, finding)}")
    message(summary(path, findings))


def show_hba(path: Path, fmt: str) -> None:
    """Print the access rules of every member of every cluster, by declared roles."""
    from pigsty.render import hba_view
    from pigsty_cli import deployment
    from pigsty_cli.commands.pgsql_objects import emit_rules

    topology = deployment.load(path)
    rows = (r for cluster in topology.pg_clusters.values()
            for r in hba_view.rows(topology, cluster, {}))  # fmt: skip
    emit_rules(rows, fmt)


def elsewhere(path: Path) -> list[str]:
    """Return what the clusters of an inventory count on that nobody installs here."""
    from pigsty import keyspace
    from pigsty_cli import deployment

    found = keyspace.clusters(deployment.load(path), "consul")
    if not found:
        return []
    names, url = ", ".join(cluster.name for cluster in found), found[0].vars["pg_consul_url"]
    return [
        f"in Consul: {names}. It is yours to run: an agent has to answer at {url} on their members "
        "and on the admin node"
    ]


def text(path: Path, finding: Finding) -> str:
    """Return a finding as one line: ``file:line path: message → hint``."""
    where = f"{path}:{finding.line}" if finding.line else f"{path}"
    what = f" {finding.path}:" if finding.path else ":"
    hint = f" → {finding.hint}" if finding.hint else ""
    return f"{where}{what} {finding.message}{hint}"


def summary(path: Path, findings: tuple[Finding, ...]) -> str:
    """Return how many findings there are of each kind."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    if not findings:
        return f"{path}: no errors, no warnings"
    return f"{path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
