"""From declared and existing databases to changes."""

from __future__ import annotations

import pytest

from pigsty.sql import change
from pigsty.sql.model import Grant, Object


@pytest.fixture
def changed(compare, make):
    """A function: a declared database ``shop``, the existing one's fields, to the report."""

    def _changed(declared=None, users=(), **fields):
        wanted = {"name": "shop", "comment": "business database shop", **(declared or {})}
        plan = compare(users, [wanted], things=[make.database(**fields), *SYSTEM(make)])
        assert plan.refusals == ()
        return change.report(plan.changes).get("database shop", {})

    return _changed


def SYSTEM(make):
    return [make.role(name) for name in ("repl", "mon", "dba", "owner")]


def statements(plan, name="shop"):
    return [
        statement.as_string(None)
        for step in plan.changes
        if step.object == Object("database", name)
        for statement in step.statements
    ]


def test_as_declared(changed):
    assert changed() == {}


@pytest.mark.parametrize(
    ("declared", "have", "shown"),
    [
        ({}, {"owner": "owner"}, {"owner": {"old": "owner", "new": "postgres"}}),
        ({"owner": "owner"}, {"owner": "owner"}, {}),
        ({}, {"connlimit": 5}, {"connlimit": {"old": 5, "new": -1}}),
        ({"connlimit": 5}, {"connlimit": 5}, {}),
        ({}, {"template": True}, {"is_template": {"old": True, "new": False}}),
        ({}, {"allowconn": False}, {"allowconn": {"old": False, "new": True}}),
        ({"allowconn": False}, {}, {"allowconn": {"old": True, "new": False}}),
        ({}, {"tablespace": "fast"}, {}),
        ({"tablespace": "fast"}, {}, {"tablespace": {"old": "pg_default", "new": "fast"}}),
        ({"comment": "x"}, {"comment": ""}, {"comment": {"old": None, "new": "x"}}),
        ({}, {"parameters": {"a.b": "c"}}, {"parameter a.b": {"old": "c", "new": None}}),
        ({}, {"parameters": {"work_mem": "1"}, "marks": {"baseline": "sum:work_mem"}}, {}),
    ],
)
def test_attributes(changed, declared, have, shown):
    assert changed(declared, **have) == shown


@pytest.mark.parametrize(
    ("declared", "acl", "shown"),
    [
        ({}, {("public", "CONNECT")}, {}),
        ({}, set(), {"privileges of public": {"old": None, "new": "CONNECT"}}),
        (
            {},
            {("public", "CONNECT"), ("public", "CREATE")},
            {"privileges of public": {"old": "CONNECT, CREATE", "new": "CONNECT"}},
        ),
        ({}, {("public", "CONNECT"), ("stranger", "CREATE")}, {}),
        (
            {"revokeconn": True, "owner": "postgres"},
            {("public", "CONNECT"), ("repl", "CONNECT"), ("mon", "CONNECT")},
            {
                "privileges of public": {"old": "CONNECT", "new": None},
                "privileges of dba": {"old": None, "new": "CONNECT"},
            },
        ),
        (
            {},
            {("public", "CONNECT"), ("mon", "CONNECT")},
            {"privileges of mon": {"old": "CONNECT", "new": None}},
        ),
    ],
)
def test_privileges(changed, declared, acl, shown):
    assert changed(declared, acl=frozenset(Grant(*grant) for grant in acl)) == shown


def test_admin_role_may_create(changed):
    assert changed(users=[{"name": "dbrole_admin", "login": False}]) == {
        "privileges of dbrole_admin": {"old": None, "new": "CREATE"}
    }


def test_owner_needs_no_privilege(changed, make):
    assert changed({"owner": "mon", "revokeconn": True}, owner="mon").keys() == {
        "privileges of public",
        "privileges of repl",
        "privileges of dba",
    }


def test_new_database_opens_last(compare):
    plan = compare([], [{"name": "shop", "comment": "c", "revokeconn": True}])
    texts = statements(plan)
    assert texts[0] == (
        'CREATE DATABASE "shop" WITH TEMPLATE = "template1" OWNER = "postgres" CONNECTION LIMIT = 0'
    )
    assert texts[-1] == 'ALTER DATABASE "shop" CONNECTION LIMIT  -1'
    assert 'REVOKE CONNECT ON DATABASE "shop" FROM PUBLIC' in texts
    first = next(step for step in plan.changes if step.object.name == "shop")
    assert first.alone, "CREATE DATABASE can't be in a transaction"
    assert "connlimit" not in change.report(plan.changes)["database shop"]


@pytest.mark.parametrize(
    ("declared", "template"),
    [
        ({}, "template1"),
        ({"encoding": "UTF8"}, "template1"),
        ({"encoding": "utf-8", "locale": "C.utf8"}, "template1"),
        ({"lc_collate": "C.UTF-8", "lc_ctype": "C.UTF-8"}, "template1"),
        ({"encoding": "LATIN1"}, "template0"),
        ({"locale": "de_DE.UTF-8"}, "template0"),
        ({"locale_provider": "icu", "icu_locale": "de"}, "template0"),
        ({"strategy": "file_copy"}, "template1"),
        ({"template": "postgres", "encoding": "LATIN1"}, "postgres"),
    ],
)
def test_template(compare, declared, template):
    plan = compare([], [{"name": "shop", **declared}])
    assert f'TEMPLATE = "{template}"' in statements(plan)[0]


def test_templates_come_before_their_copies(compare):
    databases = [{"name": "b", "template": "a"}, {"name": "a"}]
    made = [step.object.name for step in compare([], databases).changes if step.what == "created"]
    assert made == ["a", "b"]


@pytest.mark.parametrize(
    ("declared", "version", "reason"),
    [
        ({"owner": "nobody"}, 170000, "owned by nobody, which doesn't exist"),
        ({"owner": "leaving"}, 170000, "owned by leaving, which doesn't exist"),
        ({"tablespace": "slow"}, 170000, "tablespace slow"),
        ({"template": "nothing"}, 170000, "copy of nothing"),
        ({"parameters": {"x y": "1"}}, 170000, "parameter"),
        ({"strategy": "wal_log"}, 140000, "PostgreSQL 15"),
        ({"builtin_locale": "C"}, 160000, "PostgreSQL 17"),
        ({"name": "a'b"}, 170000, "quote"),
    ],
)
def test_refused(compare, declared, version, reason):
    wanted = {"name": "shop", "schemas": [{"name": "s"}], **declared}
    users = [{"name": "leaving", "state": "absent"}]
    plan = compare(users, [wanted, {"name": "fine"}], version=version)
    assert [reason in refusal.reason for refusal in plan.refusals] == [True]
    touched = {step.object.name for step in plan.changes} | {s.database for s in plan.changes}
    assert wanted["name"] not in touched
    assert "fine" in touched


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_postgresqls_own_are_not_dropped(compare, name):
    plan = compare([], [{"name": name, "state": "absent"}])
    assert "can't be dropped" in plan.refusals[0].reason


def test_dropped_database(compare, make):
    gone = {"name": "shop", "state": "absent", "schemas": [{"name": "s"}]}
    assert compare([], [gone]).changes == compare().changes
    plan = compare([], [gone], things=[make.database(template=True)])
    assert statements(plan) == [
        'ALTER DATABASE "shop" IS_TEMPLATE false',
        'DROP DATABASE "shop" WITH (FORCE)',
    ]


def test_choice_that_can_not_be_made_any_more_is_a_note(compare, make):
    wanted = {"name": "shop", "encoding": "LATIN1", "locale": "C.utf8"}
    plan = compare([], [wanted], things=[make.database()])
    assert len(plan.notes) == 1
    assert "encoding is UTF8, declared is LATIN1" in plan.notes[0]


@pytest.mark.parametrize(
    ("marks", "runs", "notes"),
    [
        ({"origin": "created"}, True, 0),
        ({"origin": "created", "baseline": "sum:"}, False, 0),
        ({}, False, 1),
    ],
)
def test_baseline(compare, make, marks, runs, notes):
    wanted = {"name": "shop", "baseline": "base.sql"}
    plan = compare([], [wanted], things=[make.database(marks=marks)])
    assert [step.baseline for step in plan.changes if step.baseline] == ["base.sql"] * runs
    assert len(plan.notes) == notes


def test_baseline_comes_after_the_contents(compare):
    wanted = {"name": "shop", "baseline": "base.sql", "extensions": [{"name": "citext"}]}
    kinds = [s.object.kind for s in compare([], [wanted]).changes if s.database == "shop"]
    assert kinds[-1] == "baseline"
    assert "extension" in kinds
