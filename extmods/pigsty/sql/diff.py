"""What is declared and what exists, to the ordered steps between: a pure function."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from datetime import date

from pigsty.scope import ALL, Scope
from pigsty.sql import databases, roles, snapshot
from pigsty.sql.change import Change, Note, Plan, Refusal, Step
from pigsty.sql.contents import Differ
from pigsty.sql.model import MAINTENANCE, TEMPLATE, Actual, Contents, Object, Wanted, WantedDatabase


def plan(wanted: Wanted, actual: Actual, today: date, scope: Scope = ALL) -> Plan:
    """Return everything that is to be done, in order.

    Roles first, as databases belong to them; then template1, of which new databases are copies;
    then each database with its contents. Roles that go are dropped last, when nothing needs them.

    Args:
        wanted: what is declared.
        actual: what exists, with the contents of the databases that :func:`to_read` names.
        today: the day from which ``expire_in`` counts.
        scope: which objects alone are meant.
    """
    return Plan.of(_steps(wanted, actual, today, scope))


def to_read(wanted: Wanted, actual: Actual, scope: Scope = ALL) -> list[str]:
    """Return the existing databases whose contents the plan depends on."""
    names = []
    for want in wanted.databases.values():
        if scope.database(want.name) and not want.absent:
            exists = want.name in actual.databases and want.name not in scope.recreate
            names.append(want.name if exists else databases.template_of(want, actual))
    unique = dict.fromkeys(names)
    existing = [actual.databases[name] for name in unique if name in actual.databases]
    return [
        found.name for found in existing if found.allowconn and found.connlimit != databases.INVALID
    ]


def _steps(wanted: Wanted, actual: Actual, today: date, scope: Scope) -> Iterator[Step]:
    wanted = _possible(wanted, actual, {name for name in wanted.roles if not scope.user(name)})
    steps = list(roles.diff(wanted, actual, today, scope))
    refused = {step.object.name for step in steps if isinstance(step, Refusal)}
    wanted = _possible(wanted, actual, refused)
    # What is made anew is compared with nothing.
    doomed = {name: found for name, found in actual.databases.items() if name in scope.recreate}
    left = {name: found for name, found in actual.databases.items() if name not in doomed}
    actual = replace(actual, databases=left)
    gone = {name for name, role in wanted.roles.items() if role.absent}
    yield from (step for step in steps if not _is_about(step, gone))
    after = dict(actual.contents)
    for name in (TEMPLATE, MAINTENANCE):
        if name in after and scope.database(name):
            yield from _contents(wanted.databases[name], wanted, actual, after)
    for name in filter(scope.database, databases.order(wanted)):
        want = wanted.databases[name]
        own = list(databases.diff(want, wanted, actual, doomed.get(name)))
        yield from own
        if want.absent or any(isinstance(step, Refusal) for step in own):
            continue
        if name not in actual.databases:
            source = databases.template_of(want, actual)
            after[name] = after.get(source) or snapshot.vanilla(actual.major, wanted.dbsu)
        if name in after and name not in (TEMPLATE, MAINTENANCE):
            yield from _contents(want, wanted, actual, after)
        yield from _baseline(want, actual)
        yield from databases.closing(want, actual)
    yield from (step for step in steps if _is_about(step, gone))


def _possible(wanted: Wanted, actual: Actual, unmade: Container[str]) -> Wanted:
    """Take out the roles that this run doesn't make, so that what needs them is refused."""
    possible = {
        name: role
        for name, role in wanted.roles.items()
        if name in actual.roles or name not in unmade
    }
    return replace(wanted, roles=possible)


def _is_about(step: Step, roles_gone: set[str]) -> bool:
    return not isinstance(step, Note) and step.object.name in roles_gone


def _contents(
    want: WantedDatabase, wanted: Wanted, actual: Actual, after: dict[str, Contents]
) -> Iterator[Step]:
    differ = Differ(want, wanted, actual, after[want.name])
    yield from differ.steps()
    after[want.name] = differ.after


def _baseline(want: WantedDatabase, actual: Actual) -> Iterator[Step]:
    """The baseline is run once, and only in a database that this system made."""
    have = actual.databases.get(want.name)
    if not want.baseline or (have and "baseline" in have.marks):
        return
    if have and have.marks.get("origin") != databases.CREATED:
        yield Note(
            f"database {want.name}: the baseline {want.baseline} is left out, "
            "as the database was made by somebody else"
        )
        return
    about = Object("baseline", want.baseline, want.name)
    yield Change(about, "run", None, True, database=want.name, baseline=want.baseline)
