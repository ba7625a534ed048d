"""Bring a cluster's objects to what is declared: read, compare, write, read back.

It acts on a server that leads and on no other. The changes of one object in one database are one
transaction; one object's failure leaves the others be. Whoever writes holds an advisory lock, so
that two runs never interleave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import psycopg
from psycopg.sql import SQL

from pigsty.deadlines import wait_until
from pigsty.errors import PigstyError
from pigsty.scope import ALL, Scope
from pigsty.sql import diff, snapshot
from pigsty.sql import statements as sql
from pigsty.sql.baseline import BaselineError
from pigsty.sql.change import Change, Plan, report
from pigsty.sql.model import MAINTENANCE, Actual, Contents, Object, Wanted
from pigsty.sql.session import Server, Unreachable, text

#: Key of the advisory lock: the letters "pigsty".
LOCK = int.from_bytes(b"pigsty", "big")
#: Sessions that read databases at the same time; each is a process of the server.
READERS = 4
_GOES_ON = "that object is as it was, those before it are done, the next run makes the rest"
_Connection = psycopg.Connection[tuple[object, ...]]
#: Runs a file of SQL in a database: server, database, file. It notes that it did, and raises
#: BaselineError if it couldn't.
Baseline = Callable[[Server, str, str], None]


class _Interrupted(PigstyError):
    """The server stopped leading, or stopped altogether, while it was written to."""


@dataclass(slots=True)
class Outcome:
    """What a run found and did.

    Attributes:
        standby: the server follows another one, or lost the lead: nothing was changed.
        changes: object, attribute, old and new, of what was done (or would be).
        failures: object and reason, of what could not be done.
        notes: to know, but no failure.
    """

    standby: bool = False
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def converge(
    wanted: Wanted,
    server: Server,
    baseline: Baseline,
    *,
    leads: Callable[[], bool] = lambda: True,
    test: bool = False,
    today: date | None = None,
    scope: Scope = ALL,
) -> Outcome:
    """Make the objects of the local server's cluster what is declared.

    Args:
        wanted: what is declared.
        server: the local server.
        baseline: runs a file of SQL.
        leads: asked once before something is written: whether the cluster agrees that this server
            leads. A primary that was cut off from the others doesn't know yet that it lost.
        test: look only.
        today: the day from which ``expire_in`` counts, by default this one in UTC.
        scope: which objects alone are meant; the others stay as they are.

    Raises:
        Unreachable: the server doesn't answer, or went away while it was looked at.
        DeadlineExceeded: another run holds the lock.
    """
    run = _Run(wanted, server, baseline, leads, today or datetime.now(UTC).date(), scope)
    with closing(run.connect(MAINTENANCE)) as main:
        try:
            if _one(main, "SELECT pg_is_in_recovery()"):
                return Outcome(standby=True)
            if not test:
                _lock(main)
            return run.all(main, test=test)
        except psycopg.OperationalError as error:
            if not main.closed:
                raise
            raise Unreachable(f"PostgreSQL went away: {text(error)}") from None


@dataclass(slots=True)
class _Run:
    wanted: Wanted
    server: Server
    baseline: Baseline
    leads: Callable[[], bool]
    today: date
    scope: Scope
    done: list[Change] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def connect(self, database: str) -> _Connection:
        with self.server.impersonated():
            return self.server.connect(database)

    def all(self, main: _Connection, *, test: bool) -> Outcome:
        plan = self.plan(main)
        notes = plan.notes
        for refusal in plan.refusals:
            self.failures[str(refusal.object)] = refusal.reason
        if test:
            self.done.extend(plan.changes)
        elif plan.changes:
            if not self.leads():
                return Outcome(standby=True)
            try:
                self.write_all(main, plan.changes)
            except _Interrupted as error:
                self.failures["the run"] = str(error)
        return Outcome(changes=report(self.done), failures=self.failures, notes=notes)

    def write_all(self, main: _Connection, changes: Iterable[Change]) -> None:
        """Write, and read back."""
        self.write(main, changes)
        # What was made anew is not made anew again.
        self.scope = replace(self.scope, recreate=frozenset())
        left = self.remaining(main)
        # What could only be seen now: the contents of a database that was closed before.
        planned = {change.object for change in changes}
        if late := [change for change in left if change.object not in planned]:
            self.write(main, late)
            left = self.remaining(main)
        for change in left:
            self.failures.setdefault(
                str(change.object), f"{change.what} did not last: it was changed back meanwhile"
            )

    def remaining(self, main: _Connection) -> list[Change]:
        return [
            change
            for change in self.plan(main).changes
            if str(change.object) not in self.failures
            and f"database {change.object.database}" not in self.failures
        ]

    # Reading.

    def plan(self, main: _Connection) -> Plan:
        return diff.plan(self.wanted, self.read(main), self.today, self.scope)

    def read(self, main: _Connection) -> Actual:
        roles = self.wanted.roles.items()
        absent = [name for name, role in roles if role.absent and self.scope.user(name)]
        actual = snapshot.cluster(_one(main, snapshot.CLUSTER, absent))
        names = diff.to_read(self.wanted, actual, self.scope)
        query = snapshot.CONTENTS_AND_LOOKUP if self.wanted.auth_query else snapshot.CONTENTS

        def contents(database: str) -> Contents | None:
            try:
                with closing(self.server.connect(database)) as connection:
                    return snapshot.contents(connection.execute(query), actual.roles)
            except (psycopg.Error, Unreachable, UnicodeError) as error:
                # One database that nobody can enter doesn't keep the others from what they need.
                reason = text(error) if isinstance(error, psycopg.Error) else str(error)
                self.failures[f"database {database}"] = reason
                return None

        with self.server.impersonated(), ThreadPoolExecutor(READERS) as pool:
            found = zip(names, pool.map(contents, names), strict=True)
            return replace(actual, contents={name: one for name, one in found if one})

    # Writing.

    def write(self, main: _Connection, changes: Iterable[Change]) -> None:
        for (about, database, alone), group in groupby(
            changes, key=lambda change: (change.object, change.database, change.alone)
        ):
            if str(about) in self.failures or f"database {about.database}" in self.failures:
                continue
            steps = list(group)
            try:
                self.transaction(main, database, steps, alone=alone)
            except (psycopg.Error, Unreachable, BaselineError) as error:
                self.failed(main, about, error)
            else:
                self.done.extend(steps)

    def transaction(
        self, main: _Connection, database: str, steps: list[Change], *, alone: bool
    ) -> None:
        if steps[0].baseline:
            for step in steps:
                self.baseline(self.server, database, step.baseline)
            return
        with ExitStack() as stack:
            connection = main
            if database:
                connection = self.connect(database)
                # Closed at once: a template can't be copied while there are sessions in it.
                stack.callback(connection.close)
            if not alone:
                stack.enter_context(connection.transaction())
            for step in steps:
                if step.secret:
                    connection.execute(SQL("; ").join(sql.GUARD))
                for statement in step.statements:
                    connection.execute(statement)

    def failed(self, main: _Connection, about: Object, error: Exception) -> None:
        """Note an object's failure; end the run if the server leads no more or is gone."""
        reason = text(error) if isinstance(error, psycopg.Error) else str(error)
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            raise _Interrupted(f"the server stopped leading at {about}: {_GOES_ON}") from None
        if main.closed:
            raise _Interrupted(f"the server went away at {about} ({reason}): {_GOES_ON}") from None
        self.failures[str(about)] = reason


def _lock(connection: _Connection) -> None:
    """Take the lock, which ends with the session."""
    wait_until(
        lambda: bool(_one(connection, "SELECT pg_try_advisory_lock(%s)", LOCK)),
        "sql.turn",
        "another run changes objects of this cluster",
    )


def _one(connection: _Connection, query: Any, *values: Any) -> Any:
    """Return the only value of a query."""
    row = connection.execute(query, values or None).fetchone()
    return row[0] if row else None
