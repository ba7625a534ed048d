"""From declared and existing roles to changes.

A role declares its state in full: an attribute, parameter or membership that the inventory doesn't
have (any more) goes back to its default. Two things can't be told from the role alone, so they are
noted on it as settings of the prefix ``pigsty.``, which do nothing in a session:

``pigsty.password``
    the password was set from the inventory. Removed from there, it is taken away. A password that
    somebody set by hand on a role that declares none is left alone.
``pigsty.expire_in``
    days and the date computed from them at first, so that the date stays as long as the days do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from graphlib import CycleError, TopologicalSorter

from psycopg.sql import Composed

from pigsty.scope import ALL, Scope
from pigsty.sql import names, settings
from pigsty.sql import statements as sql
from pigsty.sql.change import Change, Refusal, Step
from pigsty.sql.model import MARK, Actual, Membership, Object, Role, Wanted, WantedRole

#: The first release that keeps INHERIT and SET with each membership.
GRANT_OPTIONS = 16
_SET_BY_US = "inventory"


def diff(wanted: Wanted, actual: Actual, today: date, scope: Scope = ALL) -> Iterator[Step]:
    """Yield the steps for all roles: each after the roles that it is a member of.

    Args:
        wanted: what is declared.
        actual: what exists.
        today: the day from which ``expire_in`` counts.
        scope: which roles alone are meant.
    """
    refused: set[str] = set()
    for name in filter(scope.user, _order(wanted.roles)):
        declared = wanted.roles[name]
        about = Object("role", name)
        if reason := _why_not(declared, wanted, actual, refused):
            refused.add(name)
            yield Refusal(about, reason)
        elif declared.absent:
            yield from _drop(about, actual, wanted.dbsu)
        else:
            yield from _role(about, declared, actual, today, keep=name == wanted.dbsu)


def known(name: str, wanted: Wanted, actual: Actual) -> bool:
    """Tell whether a role exists or is about to."""
    declared = wanted.roles.get(name)
    return not declared.absent if declared else name in actual.roles


def _order(roles: Mapping[str, WantedRole]) -> list[str]:
    """Members after their groups; the order of the inventory otherwise, and in a circle."""
    graph = {
        name: [group for group in role.role.memberships if group in roles]
        for name, role in roles.items()
    }
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(roles)


def _why_not(declared: WantedRole, wanted: Wanted, actual: Actual, refused: set[str]) -> str:
    role = declared.role
    if reason := names.why_not(role.name, "role"):
        return reason
    if declared.absent:
        return "is a role of the system and can't be dropped" if declared.system else ""
    for parameter in role.parameters:
        if reason := names.bad_parameter(parameter):
            return reason
    if moment(role.valid_until) is None:
        return f"expire_at: {role.valid_until!r} is no date; write YYYY-MM-DD"
    for group in role.memberships:
        if not known(group, wanted, actual):
            return f"is to be a member of {group}, which doesn't exist"
        if _reaches(group, role.name, wanted.roles):
            return f"is to be a member of {group}, which is a member of it"
        if group in refused and group not in actual.roles:
            return f"is to be a member of {group}, which can't be made"
    return ""


def _reaches(start: str, goal: str, roles: Mapping[str, WantedRole]) -> bool:
    """Whether ``start`` is ``goal`` or, by declared memberships, a member of it."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen and name in roles:
            seen.add(name)
            todo.extend(roles[name].role.memberships)
    return False


def moment(text: str) -> str | None:
    """Bring a date or time to ISO 8601 in UTC; "" for none or ``infinity``, None if it is neither.

    A date alone is its midnight, and a time without a zone is meant, in UTC.
    """
    if text.strip().lower() in ("", "infinity"):
        return ""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if found.tzinfo:
        found = found.astimezone(UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S")


def _role(
    about: Object, declared: WantedRole, actual: Actual, today: date, *, keep: bool
) -> Iterator[Change]:
    want = declared.role
    have = actual.roles.get(want.name)
    if have is None:
        have = Role(name=want.name, attributes=want.attributes, connlimit=want.connlimit)
        on = [key for key, value in want.attributes.items() if value]
        shown = ", ".join(on) + (f", connlimit {want.connlimit}" if want.connlimit >= 0 else "")
        statement = sql.create_role(want.name, want.attributes, want.connlimit)
        yield Change(about, "created", None, shown.removeprefix(", "), (statement,))
    elif not have.bootstrap:
        for key, value in want.attributes.items():
            if have.attributes[key] != value:
                statement = sql.role_attribute(want.name, key, value)
                yield Change(about, key, not value, value, (statement,))
    if have.connlimit != want.connlimit:
        statement = sql.connlimit("role", want.name, want.connlimit)
        yield Change(about, "connlimit", have.connlimit, want.connlimit, (statement,))
    yield from _password(about, want, have)
    yield from _validity(about, declared, have, today)
    if have.comment != want.comment:
        statement = sql.comment("role", want.name, want.comment)
        yield Change(about, "comment", have.comment or None, want.comment or None, (statement,))
    yield from parameters("role", about, want.parameters, have.parameters)
    yield from _memberships(about, want, have, actual.major, keep=keep)


def _password(about: Object, want: Role, have: Role) -> Iterator[Change]:
    mark = have.marks.get("password")
    if want.password:
        marking = _mark(want.name, "password", _SET_BY_US) if mark != _SET_BY_US else ()
        if have.password != want.password:
            setting = (sql.role_password(want.name, want.password), *marking)
            yield Change(about, "password", None, None, setting, secret=True)
        elif marking:
            yield Change(about, "password managed", False, True, marking)
    elif mark == _SET_BY_US:
        unmarking = _unmark(want.name, "password")
        if have.password:
            setting = (sql.role_password(want.name, ""), *unmarking)
            yield Change(about, "password", "set", None, setting)
        else:
            yield Change(about, "password managed", True, False, unmarking)


def _validity(about: Object, declared: WantedRole, have: Role, today: date) -> Iterator[Change]:
    name = have.name
    mark = have.marks.get("expire_in", "")
    if declared.expire_in is None:
        until = moment(declared.role.valid_until) or ""
        wanted_mark = ""
    else:
        days, _, since = mark.partition(" ")
        if days == str(declared.expire_in) and since:
            until = since
        else:
            until = f"{today + timedelta(days=declared.expire_in)}T00:00:00"
        wanted_mark = f"{declared.expire_in} {until}"
    statements: list[Composed] = []
    if have.valid_until != until:
        statements.append(sql.role_valid_until(name, until))
    if wanted_mark != mark:
        marking = _mark(name, "expire_in", wanted_mark) if wanted_mark else ()
        statements.extend(marking or _unmark(name, "expire_in"))
    if statements:
        same = have.valid_until == until
        shown = (mark or None, wanted_mark or None) if same else (have.valid_until or None, until)
        what = "expire_in" if same else "expires"
        yield Change(about, what, shown[0], shown[1] or "never", tuple(statements))


def parameters(
    kind: str,
    about: Object,
    want: Mapping[str, str],
    have: Mapping[str, str],
    kept: frozenset[str] = frozenset(),
) -> Iterator[Change]:
    """Yield the changes of a role's or database's parameters; ``kept`` ones are never reset."""
    existing = {name.lower(): value for name, value in have.items()}
    for name, value in want.items():
        old = existing.pop(name.lower(), None)
        if old is None or not settings.same(name, old, value):
            statement = sql.set_parameter(kind, about.name, name, value)
            yield Change(about, f"parameter {name}", old, value, (statement,))
    for name, value in sorted(existing.items()):
        if name not in kept:
            statement = sql.reset_parameter(kind, about.name, name)
            yield Change(about, f"parameter {name}", value, None, (statement,))


def _memberships(
    about: Object, want: Role, have: Role, major: int, *, keep: bool
) -> Iterator[Change]:
    for group, declared in want.memberships.items():
        full = _resolved(declared, want, major)
        existing = have.memberships.get(group)
        old, new = _options(existing), _options(full)
        if old != new:
            granting: tuple[Composed, ...] = (sql.grant_role(want.name, full, major),)
            if existing and existing.admin and not full.admin and major < GRANT_OPTIONS:
                granting = (sql.revoke_admin_option(want.name, group),)
            yield Change(about, f"member of {group}", old, new, granting)
    for group, existing in sorted(have.memberships.items()):
        # keep: what the superuser belongs to is nobody's business here.
        if group not in want.memberships and not keep and not _automatic(existing):
            revoking = sql.revoke_role(want.name, existing, major)
            yield Change(about, f"member of {group}", _options(existing), None, revoking)


def _resolved(declared: Membership, member: Role, major: int) -> Membership:
    """A declared membership with every option that this release keeps."""
    if major < GRANT_OPTIONS:
        return Membership(declared.role, admin=declared.admin)
    inherit = declared.inherit
    if inherit is None:
        inherit = member.attributes["inherit"]
    return Membership(declared.role, declared.admin, inherit, declared.set)


def _automatic(existing: Membership) -> bool:
    """Whether PostgreSQL 16 made the membership itself, for a CREATEROLE user who made the role."""
    return existing.admin and existing.inherit is False and not existing.set


def _options(of: Membership | None) -> str | None:
    """A membership as a person reads it, None if there is none."""
    if of is None:
        return None
    words = ["admin"] if of.admin else []
    words += ["no inherit"] if of.inherit is False else []
    words += [] if of.set else ["no set"]
    return "member" + (f" ({', '.join(words)})" if words else "")


def _drop(about: Object, actual: Actual, heir: str) -> Iterator[Step]:
    name = about.name
    have = actual.roles.get(name)
    if have is None:
        return
    if have.bootstrap:
        yield Refusal(about, "is the superuser that initdb made and can't be dropped")
        return
    closing = (sql.role_attribute(name, "login", False), sql.end_sessions(name))
    yield Change(about, "dropped", True, False, closing)
    for database in sorted(actual.holdings.get(name, ())):
        if actual.databases[database].allowconn:
            yield Change(
                about,
                f"objects in {database}",
                name,
                heir,
                sql.give_up(name, heir),
                database=database,
            )
    last = (*sql.give_up(name, heir), sql.drop_role(name))
    yield Change(about, "role", True, False, last, silent=True)


def _mark(name: str, key: str, value: str) -> tuple[Composed, ...]:
    return (sql.set_parameter("role", name, MARK + key, value),)


def _unmark(name: str, key: str) -> tuple[Composed, ...]:
    return (sql.reset_parameter("role", name, MARK + key),)
