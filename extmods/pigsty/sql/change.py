"""What is to be done: changes, and what can't be done and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import Composed

from pigsty.sql.model import Object

Plain = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Change:
    """One step from what is to what is declared.

    Attributes:
        object: what it is about; the changes of one object in one database are one transaction.
        what: the attribute, or ``created`` and ``dropped``.
        old: before, as a person reads it; never a secret.
        new: after.
        statements: what does it.
        database: where the statements run, "" for the maintenance database.
        secret: the statements carry a verifier.
        alone: the statements can't run in a transaction.
        silent: not worth a line in the report, as it is part of another change.
        baseline: file of SQL to run in the database instead of statements.
    """

    object: Object
    what: str
    old: Plain
    new: Plain
    statements: tuple[Composed, ...] = field(default=(), repr=False)
    database: str = ""
    secret: bool = False
    alone: bool = False
    silent: bool = False
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that is left as it is, and the reason; the run goes on and ends as failed."""

    object: Object
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know that is no failure."""

    text: str


Step = Change | Refusal | Note


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps in order."""

    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Plan:
        """Sort steps by kind; a refused object has no changes, and a note stands once."""
        found = list(steps)
        refusals = tuple(step for step in found if isinstance(step, Refusal))
        refused = {refusal.object for refusal in refusals}
        changes = (step for step in found if isinstance(step, Change))
        return cls(
            changes=tuple(change for change in changes if change.object not in refused),
            refusals=refusals,
            notes=tuple(dict.fromkeys(step.text for step in found if isinstance(step, Note))),
        )


def report(changes: Iterable[Change]) -> dict[str, dict[str, Any]]:
    """Return changes as a state reports them: object, attribute, old and new."""
    found: dict[str, dict[str, Any]] = {}
    for change in changes:
        if not change.silent:
            entry = found.setdefault(str(change.object), {})
            secret = change.secret
            entry[change.what] = "changed" if secret else {"old": change.old, "new": change.new}
    return found
