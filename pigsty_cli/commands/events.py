"""`pigsty events`: what happened, and what the system did about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.errors import UsageError
from pigsty_cli.output import emit, message, output_option

if TYPE_CHECKING:
    from pigsty.journal import Journal
    from pigsty.story import Line

COLUMNS = {
    "time": "TIME",
    "subject": "ABOUT",
    "happened": "HAPPENED",
    "state": "STATE",
    "seconds": "SECONDS",
    "outcome": "OUTCOME",
}
#: How a line's story can have ended.
ENDED = frozenset({"done", "failed", "refused"})
_SPAN = re.compile(r"(\d+)([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command("events")
@click.argument("subjects", metavar="[CLUSTER|HOST]...", nargs=-1)
@click.option(
    "--since", default="1d", show_default=True, help="Since when: 30m, 4h, 2d ago, or a time."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--limit", default=200, show_default=True, help="The newest so many at most.")
@output_option
def command(subjects: tuple[str, ...], since: str, follow: bool, limit: int, output: str) -> None:
    """Show what happened, what the system did about it, and how long that took.

    A line stands for one reaction: hints about the same cluster or host that came before it began
    are one. SECONDS counts from the first of them to the end. OUTCOME says what was true when the
    reaction began and what was done; a hint that was refused says why. Times are local.

    Effect: none, it only reads. Run it on the admin node.

    \b
    Examples:
      pigsty events
      pigsty events pg-test --since 2h -o json
      pigsty events --since "2026-11-28 09:30"
      pigsty events --follow
    """
    from pigsty import journal as record
    from pigsty.story import lines

    begin = _begin(since, record.now())
    journal = _open(record.PATH)
    try:
        found = lines(journal.entries(begin, subjects=subjects, limit=limit))
        if not found and not follow:
            message(f"nothing happened since {datetime.fromtimestamp(begin):%F %T}")
        if output == "table":
            emit([_row(line) for line in found], output, columns=COLUMNS)
        elif not follow:
            emit([line.to_dict() for line in found], output)
        else:
            for line in found:
                click.echo(json.dumps(line.to_dict()))
        if follow:
            told = {line.id for line in found if line.state in ENDED}
            for line in _follow(journal, subjects, begin, told):
                click.echo(_text(line) if output == "table" else json.dumps(line.to_dict()))
    finally:
        journal.close()


def _follow(
    journal: Journal, subjects: tuple[str, ...], begin: float, told: set[str]
) -> Iterator[Line]:
    """Yield reactions as they end, and refusals as they come."""
    import threading

    from pigsty.service import GLANCE
    from pigsty.story import lines

    pause, version = threading.Event(), -1
    while True:
        seen = journal.version()
        if seen == version:
            pause.wait(GLANCE)
            continue
        version = seen
        for line in lines(journal.entries(begin, subjects=subjects)):
            if line.state in ENDED and line.id not in told:
                told.add(line.id)
                yield line


def _row(line: Line) -> dict[str, Any]:
    many = f" ({line.hints} times)" if line.hints > 1 else ""
    return {
        "time": datetime.fromtimestamp(line.at).astimezone().strftime("%F %T"),
        "subject": line.subject,
        "happened": f"{line.happened}{many}",
        "state": line.state,
        "seconds": "" if line.seconds is None else f"{line.seconds:.1f}",
        "outcome": line.outcome,
    }


def _text(line: Line) -> str:
    return "  ".join(str(_row(line)[column]) for column in COLUMNS)


def _open(path: Path) -> Journal:
    from pigsty.journal import Journal

    if not path.exists():
        raise UsageError(
            f"there is no journal in {path}: run this on the admin node, as root; the Salt master "
            "makes it when it starts"
        )
    return Journal(path)


def _begin(text: str, now: float) -> float:
    """Return the moment that a span ago or a local time means, in seconds since 1970.

    Raises:
        UsageError: it is neither.
    """
    if match := _SPAN.match(text.strip()):
        return now - int(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {text}: a number and s, m, h or d, for example 30m, or a local time such as "
            '"2026-11-28 09:30"'
        ) from None
