"""`pigsty drift`: which machines are no longer as they were applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pigsty.wording import counted
from pigsty_cli.errors import CliError
from pigsty_cli.inventories import PLACES, find
from pigsty_cli.output import emit, message, output_option

if TYPE_CHECKING:
    from pigsty.drift import Reading
    from pigsty.journal import Journal

COLUMNS = {
    "host": "HOST",
    "name": "NODE",
    "checked": "LOOKED AT",
    "count": "DRIFTED",
    "states": "STATES",
}


@click.command("drift")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("--now", is_flag=True, help="Look at them now, and wait for the result.")
@output_option
def command(targets: tuple[str, ...], now: bool, output: str) -> None:
    """Show which states of TARGETs would change something, by the latest look at each.

    The admin node looks at every host once in `pigsty_drift_interval` seconds (a day), one after
    the other, by a run of all states that changes nothing. Modules in `pigsty_self_heal` are
    applied again by themselves; for all else, `pigsty apply TARGET --test` shows the differences
    and `pigsty apply TARGET` sets them right.

    Effect: none, it only looks. Run it on the admin node.

    \b
    Examples:
      pigsty drift
      pigsty drift pg-test --now
      pigsty drift -o json
    """
    from pigsty import drift, journal
    from pigsty import targets as words
    from pigsty_cli import deployment

    topology = deployment.load(find(PLACES[0]))
    hosts = words.resolve(topology, targets)
    with closing(journal.Journal()) as record:
        if now:
            _look(record, hosts)
        found = drift.readings(record)
    names = {host: topology.nodes[host].name for host in hosts}
    rows = _rows(names, found)
    if output != "table":
        emit(rows, output)
        return
    shown = [
        {**row, "checked": _moment(row["checked"]), "states": row["error"] or row["states"]}
        for row in rows
    ]
    emit(shown, columns=COLUMNS)


def _look(record: Journal, hosts: Sequence[str]) -> None:
    """Have hosts looked at, and wait until they were.

    Raises:
        CliError: it took too long.
    """
    from pigsty import drift
    from pigsty.deadlines import DeadlineExceeded
    from pigsty.events import Hint
    from pigsty.journal import now
    from pigsty_cli import progress

    begin = now()
    for host in hosts:
        record.note(Hint(drift.KIND, host, "person", {}), begin)
    message(f"looking at {counted(len(hosts), 'host')}")

    def looked() -> bool:
        return not any(one.kind == drift.KIND and one.subject in hosts for one in record.open())

    try:
        progress.wait(looked, "drift.looked", "the hosts are looked at")
    except DeadlineExceeded as error:
        raise CliError(f"{error}; is the Salt master running? `pigsty events` tells more") from None
    for entry in record.entries(begin, subjects=hosts):
        reaction = entry.reaction
        if entry.hint.kind == drift.KIND and reaction and "has drifted" not in reaction.outcome:
            message(reaction.outcome)


def _rows(names: Mapping[str, str], found: Mapping[str, Reading]) -> list[dict[str, Any]]:
    rows = []
    for host, name in names.items():
        reading = found.get(host)
        known = None if reading is None or reading.error else reading
        states = [state for state, _sls in known.states] if known else []
        rows.append(
            {
                "host": host,
                "name": name,
                "checked": None if reading is None else reading.at,
                "count": len(states) if known else None,
                "states": states,
                "error": reading.error if reading else "",
            }
        )
    return rows


def _moment(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%F %T")
