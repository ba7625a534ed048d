"""Libraries that PostgreSQL loads at its start: their names, their order, and who has them.

A server that can't find one of them does not start any more, and the list is one for all members.
So each member says in a tag of its Patroni which of the declared libraries it can load, and the
list reaches the DCS only when every declared member has said so of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pigsty.sql.settings import elements

#: The setting, and the tag of a member's Patroni that speaks of it.
SETTING = "shared_preload_libraries"
TAG = "libraries"

#: What people write in ``pg_libs``: the extension, where its library has another name.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "documentdb": ("pg_documentdb_core", "pg_documentdb"),
    "omnidb": ("omnidb_plugin",),
    "pg_partman": ("pg_partman_bgw",),
    "pg_safeupdate": ("safeupdate",),
    "pldbgapi": ("plugin_debugger",),
    "pldebugger": ("plugin_debugger",),
    "show_plans": ("pg_show_plans",),
}
#: These replace parts of the planner, and refuse to be loaded behind others.
FIRST = ("citus", "timescaledb")
#: A library that builds upon others has to come behind them.
BEHIND: Mapping[str, tuple[str, ...]] = {
    "pg_documentdb": ("pg_cron", "pg_documentdb_core"),
    "pg_qualstats": ("pg_stat_statements",),
    "pg_stat_kcache": ("pg_stat_statements",),
    "pg_wait_sampling": ("pg_stat_statements",),
    "pgauditlogtofile": ("pgaudit",),
    "powa": ("pg_stat_statements", "pg_stat_kcache", "pg_qualstats", "pg_wait_sampling"),
}


def effective(params: Mapping[str, Any]) -> list[str]:
    """Return the libraries to load, in their order.

    Args:
        params: parameters of a member; ``pg_parameters`` may hold the setting itself, which then
            takes the place of ``pg_libs``. A member of a Citus cluster (``pg_mode``) loads its
            library in any case: Patroni sees to that itself.
    """
    own = (params.get("pg_parameters") or {}).get(SETTING)
    named = elements(str((params.get("pg_libs") if own is None else own) or ""))
    return ordered(["citus", *named] if params.get("pg_mode") == "citus" else named)


def ordered(names: Iterable[str]) -> list[str]:
    """Return libraries under the names of their files, each once, in an order that loads.

    What nobody cares about keeps the place that it was given.
    """
    found = list(dict.fromkeys(library for n in names for library in LIBRARIES.get(n, (n,))))
    first = [library for library in FIRST if library in found]
    rest = [library for library in found if library not in first]
    done: list[str] = []

    def put(library: str) -> None:
        if library in done:
            return
        for other in BEHIND.get(library, ()):
            if other in rest:
                put(other)
        done.append(library)

    for library in rest:
        put(library)
    return [*first, *done]


def tag(libraries: Iterable[str], lacking: Iterable[str] = ()) -> str:
    """Return what a member says: the libraries that it can load, ``-`` before one that it can't."""
    missing = set(lacking)
    return ",".join(f"-{name}" if name in missing else name for name in libraries)


def lacking(
    wanted: Sequence[str], members: Iterable[str], tags: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return who can't load what, and who hasn't said yet.

    Args:
        wanted: libraries that shall be loaded.
        members: names of all declared members.
        tags: of the members that live, by name.

    Returns:
        Member to libraries that it says it lacks; members that don't speak of some library (their
        packages are just being installed, or they are down).
    """
    refused: dict[str, list[str]] = {}
    silent: list[str] = []
    for member in members:
        said = set(str(tags.get(member, {}).get(TAG) or "").split(","))
        missing = [library for library in wanted if f"-{library}" in said]
        if missing:
            refused[member] = missing
        elif not said >= set(wanted):
            silent.append(member)
    return refused, silent


def refusal(refused: Mapping[str, Sequence[str]], silent: Sequence[str]) -> str:
    """Return why the list of libraries stays as it is, as a person would say it."""
    parts = [f"{member} can't load {', '.join(names)}" for member, names in refused.items()]
    if silent:
        verb = "hasn't" if len(silent) == 1 else "haven't"
        parts.append(f"{', '.join(silent)} {verb} been applied with it, or can't be reached")
    return (
        "stays as it is, because a member that lacks a library would not start again: "
        + "; ".join(parts)
    )
