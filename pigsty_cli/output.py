"""Data on standard output, as a table, JSON or YAML; all else that is said on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

FORMATS = ("table", "json", "yaml")
Function = TypeVar("Function", bound=Callable[..., Any])


def output_option(function: Function) -> Function:
    """Add ``-o/--output table|json|yaml`` to a command; the parameter's name is ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print the data.",
    )(function)


def inventory_option(function: Function) -> Function:
    """Add ``-i/--inventory FILE`` to a command; the parameter's name is ``inventory``."""
    return click.option(
        "-i",
        "--inventory",
        metavar="FILE",
        envvar="PIGSTY_INVENTORY",
        help="The inventory; default: /etc/pigsty/pigsty.yml, else ./pigsty.yml.",
    )(function)


def message(text: str) -> None:
    """Say something on standard error: progress, a summary, a warning."""
    click.echo(text, err=True)


def emit(
    data: Any,
    fmt: str = "table",
    *,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    title: str = "",
) -> None:
    """Print data on standard output.

    Args:
        data: a list of mappings (rows), or one mapping (shown as name and value). For ``json`` and
            ``yaml`` any plain data goes.
        fmt: ``table``, ``json`` or ``yaml``.
        columns: keys to show in a table, or key to heading; by default the keys of the first row.
        title: heading of the table, shown only on a terminal.
    """
    if fmt == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
    elif fmt == "yaml":
        click.echo(to_yaml(data), nl=False)
    else:
        _table(data, columns, title)


def to_yaml(data: Any) -> str:
    """Return plain data as YAML in block style, keys in their own order."""
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    # Through JSON: tuples and mappings of other kinds become what a safe dumper knows.
    plain = json.loads(json.dumps(data, default=str))
    return str(yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000))


def _table(data: Any, columns: Sequence[str] | Mapping[str, str] | None, title: str) -> None:
    """Print rows in aligned columns, with rich's help on a terminal."""
    if isinstance(data, Mapping):
        data = [{"name": key, "value": value} for key, value in data.items()]
        columns = columns or ("name", "value")
    rows: list[Mapping[str, Any]] = list(data)
    if columns is None:
        columns = list(rows[0]) if rows else []
    headings = dict(columns) if isinstance(columns, Mapping) else {c: c.upper() for c in columns}
    cells = [[_cell(row.get(key)) for key in headings] for row in rows]
    if sys.stdout.isatty():
        _rich_table(list(headings.values()), cells, title)
        return
    table = [list(headings.values()), *cells]
    widths = [max(len(line[at]) for line in table) for at in range(len(headings))]
    for line in table:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _rich_table(headings: list[str], cells: list[list[str]], title: str) -> None:
    """Print the table with rich, which is imported only here: it is slow to load."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", title=title or None, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in cells:
        # Text, not str: a value with [brackets] is data, not markup.
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def _cell(value: Any) -> str:
    """Return a value as one cell: nothing for None, yes/no for a boolean, a list joined.

    Of a text of several lines the first is shown: a row is a row; JSON and YAML have it all.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)) and not any(isinstance(v, (dict, list)) for v in value):
        return ", ".join(str(v) for v in value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    lines = str(value).splitlines()
    return str(value) if len(lines) < 2 else f"{lines[0]} … ({len(lines)} lines)"
