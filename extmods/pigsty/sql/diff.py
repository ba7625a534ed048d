"""What is declared and what exists, to the ordered steps between: a pure function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from pigsty.sql import databases, roles, snapshot
from pigsty.sql.change import Change, Note, Plan, Refusal, Step
from pigsty.sql.contents import Differ
from pigsty.sql.model import MAINTENANCE, TEMPLATE, Actual, Contents, Object, Wanted, WantedDatabase


def plan(wanted: Wanted, actual: Actual, today: date) -> Plan:
    """Return everything that is to be done, in order.

    Roles first, as databases belong to them; then template1, of which new databases are copies;
    then each database with its contents. Roles that go are dropped last, when nothing needs them.

    Args:
        wanted: what is declared.
        actual: what exists, with the contents of the databases that :func:`to_read` names.
        today: the day from which ``expire_in`` counts.
    """
    return Plan.of(_steps(wanted, actual, today))


def to_read(wanted: Wanted, actual: Actual) -> list[str]:
    """Return the existing databases whose contents the plan depends on."""
    names = [TEMPLATE, MAINTENANCE]
    for want in wanted.databases.values():
        if want.state == "create":
            exists = want.name in actual.databases
            names.append(want.name if exists else databases.template_of(want, actual))
    unique = dict.fromkeys(names)
    existing = [actual.databases[name] for name in unique if name in actual.databases]
    return [
        found.name for found in existing if found.allowconn and found.connlimit != databases.INVALID
    ]


def _steps(wanted: Wanted, actual: Actual, today: date) -> Iterator[Step]:
    steps = list(roles.diff(wanted, actual, today))
    wanted = _without(wanted, actual, steps)
    gone = {name for name, role in wanted.roles.items() if role.absent}
    yield from (step for step in steps if not _is_about(step, gone))
    after = dict(actual.contents)
    for name in (TEMPLATE, MAINTENANCE):
        if name in after:
            yield from _contents(wanted.databases[name], wanted, actual, after)
    for name in databases.order(wanted):
        want = wanted.databases[name]
        own = list(databases.diff(want, wanted, actual))
        yield from own
        if want.state != "create" or any(isinstance(step, Refusal) for step in own):
            continue
        if name not in actual.databases:
            source = databases.template_of(want, actual)
            after[name] = after.get(source) or snapshot.vanilla(actual.major, wanted.dbsu)
        if name in after and name not in (TEMPLATE, MAINTENANCE):
            yield from _contents(want, wanted, actual, after)
        yield from _baseline(want, actual)
        yield from databases.closing(want, actual)
    yield from (step for step in steps if _is_about(step, gone))


def _without(wanted: Wanted, actual: Actual, steps: list[Step]) -> Wanted:
    """Take out the roles that can't be made, so that what needs them is refused with a reason."""
    refused = {step.object.name for step in steps if isinstance(step, Refusal)}
    possible = {
        name: role
        for name, role in wanted.roles.items()
        if name in actual.roles or name not in refused
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
