"""Settings of a cluster at one moment: declared, in the DCS, and what each member runs with.

Pure: the members' looks come from ``pigsty_config.look``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Who set a value, by the last part of the file that PostgreSQL names.
ALTER_SYSTEM = "ALTER SYSTEM"
_FILES = {"postgresql.auto.conf": ALTER_SYSTEM, "postgresql.conf": "patroni"}
#: Sources of PostgreSQL that need other words.
_SOURCES = {"command line": "patroni (all members alike)", "default": "default"}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        name: its name.
        declared: the value that the inventory gives it, None if it says nothing.
        origin: what in the inventory gives it: ``pg_parameters``, ``pg_libs``, the preset.
        dcs: the value in the DCS, None if there is none.
        runs: member to the value that it runs with.
        source: member to who set that: ``patroni``, ``ALTER SYSTEM``, ``default`` …
        pending: members that wait for a restart to take it.
        notes: what a person should know.
    """

    name: str
    declared: Any
    origin: str
    dcs: Any
    runs: Mapping[str, str]
    source: Mapping[str, str]
    pending: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


def rows(looks: Mapping[str, Mapping[str, Any]], leader: str) -> list[Row]:
    """Return a row for each setting that somebody has a say in.

    Args:
        looks: what the members that answered said, by instance name.
        leader: who leads; the DCS and what is declared are taken from there.
    """
    main = looks.get(leader) or next(iter(looks.values()), {})
    names = {*main.get("declared", {}), *main.get("dcs", {})}
    for look in looks.values():
        names |= set(look.get("altered", {})) | set(look.get("errors", {}))
        names |= {name for name, s in look.get("settings", {}).items() if s["pending"]}
    return [_row(name, looks, main) for name in sorted(names)]


def interesting(found: Sequence[Row], names: Collection[str] = ()) -> list[Row]:
    """Return the rows of some names; without any, those that aren't simply the preset's."""
    if names:
        return [row for row in found if row.name in names]
    return [
        row
        for row in found
        if row.notes or row.pending or row.origin in ("pg_parameters", "pg_libs")
    ]


def table(found: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows for a table: one value where all members agree, else each with its members."""
    return [
        {
            "name": row.name,
            "declared": _text(row.declared),
            "origin": row.origin,
            "dcs": _text(row.dcs),
            "runs": _together(row.runs),
            "source": _together(row.source),
            "pending": ", ".join(row.pending),
            "notes": "; ".join(row.notes),
        }
        for row in found
    ]


def _row(name: str, looks: Mapping[str, Mapping[str, Any]], main: Mapping[str, Any]) -> Row:
    present = {m: look["settings"][name] for m, look in looks.items() if name in look["settings"]}
    declared = main.get("declared", {}).get(name)
    runs = {member: str(setting["value"]) for member, setting in present.items()}
    return Row(
        name=name,
        declared=declared,
        origin=str(main.get("origin", {}).get(name, "")),
        dcs=main.get("dcs", {}).get(name),
        runs=runs,
        source={member: _source(setting) for member, setting in present.items()},
        pending=tuple(member for member, setting in present.items() if setting["pending"]),
        notes=tuple(_notes(name, looks, main)),
    )


def _notes(name: str, looks: Mapping[str, Mapping[str, Any]], main: Mapping[str, Any]) -> list[str]:
    notes = []
    declared = name in main.get("declared", {})
    altered = {m: look["altered"][name] for m, look in looks.items() if name in look["altered"]}
    for value, members in _grouped(altered).items():
        what = "wins over what is declared" if declared else "is nobody's but ALTER SYSTEM's"
        notes.append(f"ALTER SYSTEM ({value}) on {', '.join(members)} {what}")
    errors = {m: look["errors"][name] for m, look in looks.items() if name in look["errors"]}
    notes += [f"{', '.join(who)}: {why}" for why, who in _grouped(errors).items()]
    change = main.get("changes", {}).get(name)
    if change:
        notes.append(f"an apply would change the DCS: {change['old']} → {change['new']}")
    if not declared and name in main.get("dcs", {}) and not altered:
        notes.append("in the DCS, and not ours: left alone")
    return notes


def _source(setting: Mapping[str, Any]) -> str:
    file = str(setting.get("file") or "").rpartition("/")[2]
    return _FILES.get(file) or _SOURCES.get(str(setting["source"]), str(setting["source"]))


def _grouped(values: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for member, value in values.items():
        found.setdefault(str(value), []).append(member)
    return found


def _together(values: Mapping[str, str]) -> str:
    groups = _grouped(values)
    if len(groups) < 2:
        return next(iter(groups), "")
    return ", ".join(f"{value} ({', '.join(who)})" for value, who in groups.items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)
