"""`pigsty schema`: the JSON Schema of an inventory."""

from __future__ import annotations

import click

from pigsty_cli.output import emit

EPILOG = """\b
Examples:
  pigsty schema > pigsty.schema.json
\b
An editor with a YAML language server uses it when the inventory begins with the line
  # yaml-language-server: $schema=pigsty.schema.json"""


@click.command(epilog=EPILOG)
@click.option(
    "-o",
    "--output",
    type=click.Choice(("json", "yaml")),
    default="json",
    show_default=True,
    help="How to print the schema.",
)
def command(output: str) -> None:
    """Print the JSON Schema of the inventory: names, types, choices, defaults, meanings."""
    from pigsty.schema import schema

    emit(schema(), output)
