"""`pigsty logs`: what the programs of all nodes have written, searched on an infra node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from pigsty.topology import Topology

#: Seconds between two looks of --follow, and how far back each looks: what a node sends late is
#: still seen.
PAUSE, OVERLAP = 1.0, 30
_WORST_FIRST = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

Ask = Callable[..., dict[str, Any]]


@click.command("logs")
@click.argument("targets", metavar="[CLUSTER|INSTANCE|NODE|ADDRESS]...", nargs=-1)
@click.option("--unit", "-u", default="", help="Only one program: postgres, patroni, haproxy …")
@click.option("--grep", "-g", default="", help="Only what matches, in any case.")
@click.option("--level", "-l", type=click.Choice(_WORST_FIRST), help="Only so bad, or worse.")
@click.option("--since", default="1d", show_default=True, help="10m, 2h, 1d, or a date and time.")
@click.option("--until", default="", help="The same; default: now.")
@click.option("--lines", "-n", default=100, show_default=True, type=click.IntRange(1, 2000),
              help="The newest so many at most.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@inventory_option
@output_option
def command(
    targets: tuple[str, ...],
    unit: str,
    grep: str,
    level: str | None,
    since: str,
    until: str,
    lines: int,
    follow: bool,
    inventory: str | None,
    output: str,
) -> None:
    """Search the logs of all nodes: PostgreSQL, Patroni, PgBouncer, pgBackRest, HAProxy, etcd,
    nginx, Salt and the systems' journals.

    A line stands for one entry: time (UTC), instance, program, level, text. The first infra node
    that answers is asked; each has everything. A pattern of --grep is a regular expression. With
    --follow, JSON is one object a line.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty logs pg-test -n 20
      pigsty logs pg-test-2 --unit postgres --grep 'deadlock|could not' --since 2h
      pigsty logs 10.10.10.11 --level err --since '2026-05-01 12:00' --until '2026-05-01 12:30'
      pigsty logs pg-test --follow
      pigsty logs --unit patroni -o json
    """
    from pigsty_cli import deployment
    from pigsty_cli.watching import ask_logs

    if until and follow:
        raise click.UsageError("--follow has no end: leave out --until")
    topology = deployment.load(find(inventory))
    names = _known(topology, targets)
    given = {"grep": grep, "level": level or "", "since": since, "unit": unit, "until": until}
    given = {name: value for name, value in given.items() if value} | {"limit": str(lines)}

    def ask(**more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name in names or ("",):
            wanted = {**given, **more} | ({"target": name} if name else {})
            answer = ask_logs(topology, wanted)
            found += [entry for entry in answer["entries"] if entry not in found]
            for problem in answer["problems"]:
                told.setdefault(problem, False)
        return sorted(found, key=lambda entry: int(entry["stamp"]))[-lines:]

    told: dict[str, bool] = {}
    entries = ask()
    _warn(told)
    if follow:
        for entry in _follow(ask, entries):
            click.echo(_line(entry) if output == "table" else json.dumps(entry))
        return
    if output != "table":
        emit(entries, output)
        return
    for entry in entries:
        click.echo(_line(entry))
    if not entries:
        message("Nothing was found.")


def _follow(
    ask: Callable[..., list[dict[str, Any]]], entries: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield entries, then those that come, each once."""
    import threading

    from pigsty.clients.logs import LogsError

    pause, seen, last = threading.Event(), dict[tuple[Any, ...], int](), 0
    while True:
        for entry in entries:
            key = tuple(entry[name] for name in ("stamp", "ip", "unit", "text"))
            if key not in seen:
                seen[key] = last = max(last, int(entry["stamp"]))
                yield entry
        # What is older than a look reaches back can't come again.
        seen = {key: at for key, at in seen.items() if at > last - 10 * OVERLAP * 1_000_000}
        pause.wait(PAUSE)
        try:
            entries = ask(since=f"{OVERLAP}s", limit="2000")
        except LogsError as error:
            message(f"{error}; trying again")
            entries = ()


def _known(topology: Topology, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the targets; a name that the inventory doesn't have is refused with those near."""
    from pigsty import targets as naming

    naming.resolve(topology, targets)
    return targets


def _warn(told: dict[str, bool]) -> None:
    for problem in told:
        message(f"warning: {problem}")


def _line(entry: dict[str, Any]) -> str:
    """Return an entry as one line."""
    text = " ⏎ ".join(part.strip() for part in str(entry["text"]).splitlines() if part.strip())
    return f"{entry['time']}  {entry['ins']}  {entry['unit']}  {entry['level']}  {text}"
