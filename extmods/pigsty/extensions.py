"""Extensions of a cluster at one moment: what is declared, installed, created and loaded, and what
is to be done about the difference. Pure: the members' looks come from ``pigsty_extensions.look``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pigsty.render.libraries import LIBRARIES

#: Where a library that belongs to no database is shown.
EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Row:
    """One extension in one database, as one member has it.

    Attributes:
        member: instance name.
        database: its name; ``*`` for a library that is no extension of a database.
        extension: its name.
        declared: ``yes``, a version, ``default`` (from the list for every database), ``absent``,
            ``library``, or "" where nobody asked for it.
        package: whether the files are installed on this member.
        available: version that they bring, "" if none.
        created: version in the database, "" if it isn't there.
        loaded: whether its library is preloaded: ``yes``, ``no``, or "" where none is wanted.
        todo: what is to be done, "" if nothing.
    """

    member: str
    database: str
    extension: str
    declared: str
    package: bool
    available: str
    created: str
    loaded: str
    todo: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


def rows(looks: Mapping[str, Mapping[str, Any]], leader: str) -> list[Row]:
    """Return a row for each member, database and extension.

    Args:
        looks: what the members that answered said, by instance name.
        leader: who leads; what a database holds is the same everywhere and read there. Without a
            leader it is read from whoever has it.
    """
    source = looks.get(leader) or next(iter(looks.values()), {})
    found: list[Row] = []
    for member, look in sorted(looks.items()):
        seen: set[str] = set()
        for database in sorted({*source.get("declared", {}), *source.get("created", {})}):
            declared = {e["name"]: e for e in source.get("declared", {}).get(database, ())}
            created = source.get("created", {}).get(database, {})
            for name in sorted({*declared, *created}):
                found.append(_row(member, look, database, name, declared.get(name), created))
                seen |= set(_libraries(name))
        found += [
            _library(member, look, library)
            for library in look.get("wanted", ())
            if library not in seen
        ]
    return found


def interesting(found: Sequence[Row], names: Collection[str] = ()) -> list[Row]:
    """Return the rows that a person looks for: those of some names, else all but the usual ones.

    The usual ones are what every database has by default and what PostgreSQL itself makes.
    """
    if names:
        return [row for row in found if row.extension in names]
    return [row for row in found if row.todo or row.declared not in ("", "default")]


def folded(found: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows with the members that agree together; ``all`` where every member does."""
    members = {row.member for row in found}
    same: dict[tuple[Any, ...], list[str]] = {}
    for row in found:
        data = row.to_dict()
        own = data.pop("member")
        same.setdefault(tuple(data.items()), []).append(own)
    return [
        {"member": "all" if set(own) == members else ", ".join(own), **dict(items)}
        for items, own in sorted(same.items(), key=lambda item: (item[0][1][1], item[0][0][1]))
    ]


def unable(looks: Mapping[str, Mapping[str, Any]], members: Collection[str]) -> dict[str, str]:
    """Return which members would not start again with the libraries that the DCS asks for.

    Args:
        looks: of the members that answered.
        members: all declared ones; who didn't answer is no obstacle for the others.
    """
    found = {}
    for member in sorted(members):
        missing = (looks.get(member) or {}).get("missing", ())
        if missing:
            found[member] = ", ".join(missing)
    return found


def _row(
    member: str,
    look: Mapping[str, Any],
    database: str,
    name: str,
    declared: Mapping[str, Any] | None,
    created: Mapping[str, str],
) -> Row:
    available = str(look.get("available", {}).get(name, ""))
    version = created.get(name, "")
    wanted = [library for library in _libraries(name) if library in look.get("wanted", ())]
    loaded = ""
    if wanted:
        loaded = "yes" if set(wanted) <= set(look.get("loaded", ())) else "no"
    return Row(
        member=member,
        database=database,
        extension=name,
        declared=_declared(declared),
        package=bool(available),
        available=available,
        created=version,
        loaded=loaded,
        todo=_todo(look, declared, available, version, loaded),
    )


def _declared(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    if entry.get("absent"):
        return "absent"
    return str(entry.get("version") or ("default" if entry.get("default") else "yes"))


def _todo(
    look: Mapping[str, Any],
    declared: Mapping[str, Any] | None,
    available: str,
    created: str,
    loaded: str,
) -> str:
    if declared is None:
        return ""
    if declared.get("absent"):
        return "drop" if created else ""
    if not available:
        # A default extension that the packages lack is left out everywhere, on purpose.
        return "" if declared.get("default") else "install its package"
    if loaded == "no":
        return "restart" if look.get("pending") else "load its library"
    if not created:
        return "create"
    version = str(declared.get("version") or "")
    if version and version != created:
        return f"update to {version}"
    if not version and available != created:
        return f"update to {available} (--update)"
    return ""


def _library(member: str, look: Mapping[str, Any], name: str) -> Row:
    loaded = name in look.get("loaded", ())
    there = name not in look.get("lacking", ())
    todo = ""
    if not there:
        todo = "install its package"
    elif not loaded:
        todo = "restart" if look.get("pending") else "load its library"
    return Row(member, EVERYWHERE, name, "library", there, "", "", "yes" if loaded else "no", todo)


def _libraries(extension: str) -> tuple[str, ...]:
    return LIBRARIES.get(extension, (extension,))
