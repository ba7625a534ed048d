"""From declared and existing databases to changes (their contents: ``contents.py``).

A new database is closed to all but superusers until everything about it is in place. Options of
creation (encoding, locale, template) are never changed afterwards: what differs becomes a note.
Two settings of the prefix ``pigsty.`` are notes on the database that do nothing in a session:

``pigsty.origin``
    this system created it. A baseline is run only then, never on a database that somebody else
    filled.
``pigsty.baseline``
    the checksum of the baseline that was run, after a colon the parameters that it set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from psycopg.sql import Composed

from pigsty.sql import names, roles
from pigsty.sql import statements as sql
from pigsty.sql.change import Change, Note, Refusal, Step
from pigsty.sql.model import (
    ADMIN_ROLE,
    MAINTENANCE,
    MARK,
    PUBLIC,
    TEMPLATE,
    Actual,
    Database,
    Grant,
    Object,
    Wanted,
    WantedDatabase,
)

CREATED = "created"
#: ``datconnlimit`` of a database whose dropping was interrupted.
INVALID = -2
#: The release in which an option of CREATE DATABASE appeared.
_SINCE = {
    "strategy": 15,
    "locale_provider": 15,
    "icu_locale": 15,
    "icu_rules": 16,
    "builtin_locale": 17,
}
#: Options that only a copy of template0 takes freely.
_LOCALE = frozenset({"encoding", "locale", "lc_collate", "lc_ctype", *_SINCE} - {"strategy"})
#: Of these PostgreSQL itself keeps the last word.
_SYSTEM = frozenset({MAINTENANCE, TEMPLATE, "template0"})
#: What everybody may do with a database that was just made.
_NEW = frozenset({Grant(PUBLIC, "CONNECT"), Grant(PUBLIC, "TEMPORARY")})


def order(wanted: Wanted) -> list[str]:
    """Return the names of the managed databases: each after its template."""
    managed = {name: db for name, db in wanted.databases.items() if db.managed}
    graph = {name: [db.template] if db.template in managed else [] for name, db in managed.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(managed)


def template_of(want: WantedDatabase, actual: Actual) -> str:
    """Return the database that a new one is copied from.

    A copy of template1 must have its encoding and locale, so a database that declares others, and
    no template, is made from template0; its contents are filled in afterwards anyway.
    """
    if want.template:
        return want.template
    usual = actual.databases.get(TEMPLATE)
    if usual is None or not _LOCALE & want.creation.keys():
        return TEMPLATE
    like = {
        "encoding": _plain(usual.encoding),
        "locale": _plain(usual.collate) if usual.collate == usual.ctype else "",
        "lc_collate": _plain(usual.collate),
        "lc_ctype": _plain(usual.ctype),
    }
    options = {key: value for key, value in want.creation.items() if key in _LOCALE}
    same = all(_plain(value) == like.get(key) for key, value in options.items())
    return TEMPLATE if same else "template0"


def why_not(
    want: WantedDatabase, wanted: Wanted, actual: Actual, doomed: Database | None = None
) -> str:
    """Return why nothing can be done for a declared database, or "" if something can."""
    exists = want.name in actual.databases
    if reason := names.why_not(want.name, "database"):
        return reason
    if want.absent or doomed:
        if want.name in _SYSTEM:
            return "is PostgreSQL's own and can't be dropped"
        if want.absent:
            return "is declared absent and can't be made anew" if doomed else ""
    if exists and actual.databases[want.name].connlimit == INVALID:
        return "is what an interrupted DROP DATABASE left, and can only be dropped"
    if not roles.known(want.owner, wanted, actual):
        return f"is to be owned by {want.owner}, which doesn't exist"
    if want.tablespace and want.tablespace not in actual.tablespaces:
        return f"is to be in the tablespace {want.tablespace}, which doesn't exist"
    for parameter in want.parameters:
        if reason := names.bad_parameter(parameter):
            return reason
    if exists:
        return ""
    for option in want.creation:
        if actual.major < _SINCE.get(option, 0):
            return f"{option} needs PostgreSQL {_SINCE[option]}, this is {actual.major}"
    template = template_of(want, actual)
    if template not in actual.databases and template not in wanted.databases:
        return f"is to be a copy of {template}, which doesn't exist"
    return ""


def diff(
    want: WantedDatabase, wanted: Wanted, actual: Actual, doomed: Database | None = None
) -> Iterator[Step]:
    """Yield the steps for one managed database, its contents not included.

    Args:
        want: the declared database.
        wanted: everything that is declared.
        actual: everything that exists.
        doomed: what exists of it, and is to be replaced by a new one; not in ``actual`` then.
    """
    about = Object("database", want.name)
    have = actual.databases.get(want.name)
    if reason := why_not(want, wanted, actual, doomed):
        yield Refusal(about, reason)
    elif want.absent:
        if have is not None:
            yield from _drop(about, have)
    elif have is None:
        yield from _create(about, want, wanted, actual, doomed)
    else:
        if want.state == "recreate":
            yield Note(
                f"database {want.name} is kept: only `pigsty pgsql db CLUSTER {want.name} "
                "--recreate` makes it anew, as it asks first"
            )
        yield from _creation_notes(want, have)
        yield from _attributes(about, want, have, wanted, actual)


def _create(
    about: Object,
    want: WantedDatabase,
    wanted: Wanted,
    actual: Actual,
    doomed: Database | None,
) -> Iterator[Change]:
    options = dict(want.creation)
    options["template"] = template_of(want, actual)
    options["owner"] = want.owner
    if want.tablespace:
        options["tablespace"] = want.tablespace
    usual = {"template": TEMPLATE}
    shown = ", ".join(
        f"{key} {value}" for key, value in sorted(options.items()) if usual.get(key) != value
    )
    if doomed:
        # The new one is made first: what can't be made doesn't cost the old one.
        replacing = sql.replace_database(want.name, options, want.is_template, doomed.template)
        yield Change(about, "recreated", "all its data", shown, replacing, alone=True)
    else:
        creating = sql.create_database(want.name, options, want.is_template)
        yield Change(about, CREATED, None, shown, (creating,), alone=True)
    new = Database(
        name=want.name,
        oid=0,
        owner=want.owner,
        encoding="",
        collate="",
        ctype="",
        tablespace=want.tablespace,
        template=want.is_template,
        allowconn=True,
        connlimit=0,
        acl=_NEW,
        marks={"origin": CREATED},
    )
    marking = sql.set_parameter("database", want.name, MARK + "origin", CREATED)
    yield Change(about, "origin", None, CREATED, (marking,), silent=True)
    yield from _attributes(about, want, new, wanted, actual)


def _attributes(
    about: Object, want: WantedDatabase, have: Database, wanted: Wanted, actual: Actual
) -> Iterator[Change]:
    name = want.name
    if want.allowconn and not have.allowconn:
        statement = sql.database_flag(name, "allowconn", True)
        yield Change(about, "allowconn", False, True, (statement,))
    if have.owner != want.owner:
        statement = sql.owner("database", name, want.owner)
        yield Change(about, "owner", have.owner, want.owner, (statement,))
    if have.template != want.is_template:
        statement = sql.database_flag(name, "is_template", want.is_template)
        yield Change(about, "is_template", have.template, want.is_template, (statement,))
    if have.comment != want.comment:
        statement = sql.comment("database", name, want.comment)
        yield Change(about, "comment", have.comment or None, want.comment or None, (statement,))
    kept = frozenset(have.marks.get("baseline", "").partition(":")[2].split(","))
    yield from roles.parameters("database", about, want.parameters, have.parameters, kept)
    yield from _privileges(about, want, have, wanted, actual)
    if have.connlimit != want.connlimit:
        # The last step: a new database opens only now.
        statement = sql.connlimit("database", name, want.connlimit)
        opening = have.oid == 0 and want.connlimit == -1
        old = None if have.oid == 0 else have.connlimit
        yield Change(about, "connlimit", old, want.connlimit, (statement,), silent=opening)
    if want.tablespace and have.tablespace != want.tablespace:
        statement = sql.database_tablespace(name, want.tablespace)
        yield Change(
            about, "tablespace", have.tablespace, want.tablespace, (statement,), alone=True
        )


def closing(want: WantedDatabase, actual: Actual) -> Iterator[Change]:
    """Yield the change that closes a database for good, which comes after those of its contents."""
    have = actual.databases.get(want.name)
    if not want.allowconn and (have is None or have.allowconn):
        statement = sql.database_flag(want.name, "allowconn", False)
        yield Change(Object("database", want.name), "allowconn", True, False, (statement,))


def _privileges(
    about: Object, want: WantedDatabase, have: Database, wanted: Wanted, actual: Actual
) -> Iterator[Change]:
    """CONNECT and CREATE of those that are looked after; others keep what they have."""
    system = {wanted.replication, wanted.monitor, wanted.admin}
    grantees: Mapping[str, frozenset[str]] = {
        PUBLIC: frozenset() if want.revokeconn else frozenset({"CONNECT"}),
        **{name: frozenset({"CONNECT"} if want.revokeconn else ()) for name in sorted(system)},
        ADMIN_ROLE: frozenset({"CREATE"}),
    }
    for grantee, privileges in grantees.items():
        if grantee == want.owner:
            continue
        if grantee != PUBLIC and not roles.known(grantee, wanted, actual):
            continue
        held = {grant.privilege for grant in have.acl if grant.grantee == grantee}
        looked_after = {"CONNECT", "CREATE"} if grantee != ADMIN_ROLE else {"CREATE"}
        yield from acl_changes(about, "database", grantee, held & looked_after, privileges)


def acl_changes(
    about: Object, kind: str, grantee: str, held: set[str], due: frozenset[str], database: str = ""
) -> Iterator[Change]:
    """Yield the change of one grantee's privileges on a database or schema."""
    if held == due:
        return
    statements: list[Composed] = []
    if missing := sorted(due - held):
        statements.append(sql.grant(kind, about.name, missing, grantee))
    if extra := sorted(held - due):
        statements.append(sql.revoke(kind, about.name, extra, grantee))
    old, new = (", ".join(sorted(privileges)) or None for privileges in (held, due))
    yield Change(about, f"privileges of {grantee}", old, new, tuple(statements), database)


def _creation_notes(want: WantedDatabase, have: Database) -> Iterator[Note]:
    existing = {
        "encoding": have.encoding,
        "lc_collate": have.collate,
        "lc_ctype": have.ctype,
        "locale": have.collate,
    }
    for option, value in existing.items():
        declared = want.creation.get(option)
        if declared and _plain(declared) != _plain(value):
            yield Note(
                f"database {want.name}: {option} is {value}, declared is {declared}; "
                "it can be chosen only when a database is created"
            )


def _plain(text: str) -> str:
    """UTF8 and utf-8, C.UTF-8 and C.utf8 are the same."""
    return text.lower().replace("-", "").replace("_", "")


def _drop(about: Object, have: Database) -> Iterator[Change]:
    if have.template:
        statement = sql.database_flag(have.name, "is_template", False)
        yield Change(about, "is_template", True, False, (statement,), silent=True)
    yield Change(about, "dropped", True, False, (sql.drop_database(have.name),), alone=True)
