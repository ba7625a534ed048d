"""Which objects alone a run is about: all that is declared, or some by name.

A command such as `pigsty pgsql user CLUSTER NAME` puts the names into the pillar of its run
(:data:`KEY`); the states of the objects and of PgBouncer keep to them, and leave everything else as
it is, be it as declared or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: Key of the pillar: kind (``users``, ``databases``, ``hba``, ``recreate``) to names. A kind
#: without names means all of it; a kind that is missing isn't meant at all.
KEY = "pigsty_only"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about.

    Attributes:
        users: names of roles, None for all.
        databases: names of databases with what is in them, None for all.
        hba: whether HBA rules are meant.
        settings: whether everything that is no object is meant: files of settings, for one.
        recreate: databases that are to be dropped and made anew, as somebody has confirmed.
    """

    users: frozenset[str] | None = None
    databases: frozenset[str] | None = None
    hba: bool = True
    settings: bool = True
    recreate: frozenset[str] = frozenset()

    @classmethod
    def of(cls, only: Mapping[str, Collection[str]] | None) -> Scope:
        """Return the scope that a pillar's :data:`KEY` means; everything without one."""
        if not only:
            return cls()
        recreate = frozenset(only.get("recreate", ()))
        return cls(
            users=_names(only, "users"),
            databases=_names(only, "databases"),
            hba="hba" in only,
            settings=False,
            recreate=recreate,
        )

    def user(self, name: str) -> bool:
        """Whether a role is meant."""
        return self.users is None or name in self.users

    def database(self, name: str) -> bool:
        """Whether a database and what is in it is meant."""
        return self.databases is None or name in self.databases


#: Everything that is declared.
ALL = Scope()


def _names(only: Mapping[str, Collection[str]], kind: str) -> frozenset[str] | None:
    if kind not in only:
        return frozenset()
    return frozenset(only[kind]) or None
