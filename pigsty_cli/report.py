"""How a run is told: one line a host, every failure in full, and what an audit found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from pigsty.returns import HostResult
from pigsty_cli import exitcodes
from pigsty_cli.output import emit, message

COLUMNS = {
    "host": "HOST",
    "name": "NODE",
    "status": "RESULT",
    "ok": "OK",
    "changed": "CHANGED",
    "failed": "FAILED",
    "skipped": "NOT RUN",
    "seconds": "SECONDS",
}


def show(
    results: Sequence[HostResult],
    names: Mapping[str, str],
    fmt: str,
    *,
    test: bool,
    told: bool = False,
) -> None:
    """Print a run's results.

    Args:
        results: of all hosts.
        names: node name by host.
        fmt: ``table``, ``json`` or ``yaml``; the latter two hold everything.
        test: whether it was an audit: then a table is followed by exactly what would change.
        told: whether a table is followed by what changed in a run that was no audit, too.
    """
    rows = [{"host": r.host, "name": names.get(r.host, ""), **_plain(r)} for r in results]
    if fmt != "table":
        emit(rows, fmt)
        return
    columns = {**COLUMNS, "changed": "WOULD CHANGE"} if test else COLUMNS
    emit([_cells(row, test=test) for row in rows], fmt, columns=columns)
    for result in results:
        for line in _details(result, names.get(result.host, ""), test=test, told=test or told):
            click.echo(line)
    for text, hosts in _warnings(results).items():
        message(f"warning ({', '.join(hosts)}): {text}")


def exit_code(results: Sequence[HostResult]) -> int:
    """Return 0 when every host is well, 1 when none is, 3 when some are."""
    good = sum(result.good for result in results)
    if good == len(results):
        return exitcodes.OK
    return exitcodes.PARTIAL if good else exitcodes.FAILED


def _plain(result: HostResult) -> dict[str, Any]:
    data = {**result.to_dict(), "seconds": round(result.seconds, 1)}
    del data["host"]
    return data


def _cells(row: Mapping[str, Any], *, test: bool) -> dict[str, Any]:
    """Return a row as the table shows it: an audit changes nothing, it finds differences."""
    status = "differs" if test and row["status"] == "changed" else row["status"]
    return {**row, "status": status, "seconds": row["seconds"] or ""}


def _details(result: HostResult, name: str, *, test: bool, told: bool) -> Iterator[str]:
    label = f"{result.host} {name}".rstrip()
    if result.error:
        yield from ("", f"{label}: {result.status}", *_indented(result.error))
    for failure in result.failures:
        yield from ("", f"{label}: failed: {failure.id} ({failure.sls})")
        yield from _indented(failure.comment)
    if result.skipped:
        yield f"{label}: {result.skipped} more states did not run because of that"
    if told:
        verb = "would change" if test else "changed"
        for change in result.changes:
            yield from ("", f"{label}: {verb}: {change.id} ({change.sls})")
            yield from _indented(changes_text(change.changes))


def changes_text(changes: Any) -> str:
    """Return the changes of one state as lines: a diff as it is, values with an arrow."""
    if not isinstance(changes, Mapping):
        return str(changes)
    lines: list[str] = []
    for key, value in changes.items():
        if key == "diff" and isinstance(value, str):
            lines.extend(value.rstrip("\n").splitlines())
        elif isinstance(value, Mapping) and {"old", "new"} & set(value):
            lines.extend(_old_new(str(key), value))
        elif isinstance(value, Mapping):
            lines.append(f"{key}:")
            lines.extend(_indented(changes_text(value)))
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def _old_new(key: str, value: Mapping[str, Any]) -> Iterator[str]:
    old, new = value.get("old"), value.get("new")
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        yield f"{key}:"
        before, after = old or {}, new or {}
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                yield f"    {name}: {_value(before.get(name))} → {_value(after.get(name))}"
    else:
        yield f"{key}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    return "(none)" if value in (None, "") else str(value)


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def _warnings(results: Sequence[HostResult]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in results:
        for text in result.warnings:
            found.setdefault(text, []).append(result.host)
    return found
