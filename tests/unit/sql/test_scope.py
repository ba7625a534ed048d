"""A run for some objects alone, and a database that is made anew."""

from __future__ import annotations

from datetime import date

import pytest

from pigsty.scope import ALL, Scope
from pigsty.sql import diff

TODAY = date(2026, 1, 1)
USERS = [{"name": "app"}, {"name": "owner"}, {"name": "gone", "state": "absent"}]
DATABASES = [{"name": "shop", "schemas": [{"name": "s"}]}, {"name": "other"}]


@pytest.fixture
def plan(declare, existing):
    def _plan(only, *things, users=USERS, databases=DATABASES):
        return diff.plan(declare(users, databases), existing(*things), TODAY, Scope.of(only))

    return _plan


def about(plan):
    return {str(step.object) for step in plan.changes}


@pytest.mark.parametrize(
    ("only", "users", "databases", "hba", "settings"),
    [
        (None, (True, True), (True, True), True, True),
        ({"users": []}, (True, True), (False, False), False, False),
        ({"users": ["app"]}, (True, False), (False, False), False, False),
        ({"databases": []}, (False, False), (True, True), False, False),
        ({"databases": ["app"]}, (False, False), (True, False), False, False),
        ({"hba": []}, (False, False), (False, False), True, False),
    ],
)
def test_what_is_meant(only, users, databases, hba, settings):
    scope = Scope.of(only)
    assert (scope.user("app"), scope.user("b")) == users
    assert (scope.database("app"), scope.database("b")) == databases
    assert (scope.hba, scope.settings) == (hba, settings)


def test_without_a_scope_everything_is_meant():
    assert Scope.of(None) == Scope.of({}) == ALL


def test_one_user_alone(plan):
    assert about(plan({"users": ["app"]})) == {"role app"}


def test_all_users_and_no_database(plan, make):
    found = about(plan({"users": []}, make.role("gone")))
    assert found == {"role app", "role owner", "role gone"}


def test_one_database_alone_with_what_is_in_it(plan):
    assert {word for word in about(plan({"databases": ["shop"]})) if "privileges" not in word} == {
        "database shop",
        "schema s in shop",
    }


def test_a_dropped_user_only_when_it_is_meant(plan, make):
    assert about(plan({"users": ["app"]}, make.role("gone"))) == {"role app"}
    assert about(plan({"users": ["gone"]}, make.role("gone"))) == {"role gone"}


def test_what_needs_a_user_that_is_not_there_yet_is_refused(plan):
    users = [{"name": "app", "roles": [{"name": "group"}]}, {"name": "group"}]
    found = plan({"users": ["app"]}, users=users)
    assert [r.reason for r in found.refusals] == ["is to be a member of group, which doesn't exist"]
    database = [{"name": "shop", "owner": "group"}]
    found = plan({"databases": []}, users=users, databases=database)
    assert [r.reason for r in found.refusals] == ["is to be owned by group, which doesn't exist"]


def test_both_are_there_when_both_are_meant(plan):
    users = [{"name": "app", "roles": [{"name": "group"}]}, {"name": "group"}]
    assert plan({"users": ["app", "group"]}, users=users).refusals == ()


def test_only_the_databases_that_are_meant_are_read(declare, existing, make):
    wanted, actual = declare(USERS, DATABASES), existing(make.database("shop"))
    assert set(diff.to_read(wanted, actual)) == {"template1", "postgres", "shop"}
    assert diff.to_read(wanted, actual, Scope.of({"users": []})) == []
    assert diff.to_read(wanted, actual, Scope.of({"databases": ["shop"]})) == ["shop"]


# -- made anew ----------------------------------------------------------------------------------


def test_a_database_is_made_anew_beside_the_old_one(plan, make):
    only = {"databases": ["shop"], "recreate": ["shop"]}
    found = plan(only, make.database("shop", template=True))
    first = found.changes[0]
    assert (first.what, first.old, first.alone) == ("recreated", "all its data", True)
    texts = [statement.as_string() for statement in first.statements]
    assert [text.split("WITH")[0].strip() for text in texts] == [
        'DROP DATABASE IF EXISTS "shop~new"',
        'CREATE DATABASE "shop~new"',
        'ALTER DATABASE "shop" IS_TEMPLATE false',
        'DROP DATABASE IF EXISTS "shop"',
        'ALTER DATABASE "shop~new" RENAME TO "shop"',
    ]
    assert "schema s in shop" in about(found), "its contents come with it"


def test_the_state_in_the_inventory_alone_drops_nothing(plan, make):
    databases = [{"name": "shop", "state": "recreate"}]
    found = plan(None, make.database("shop"), users=[], databases=databases)
    assert not {"created", "recreated", "dropped"} & {
        change.what for change in found.changes if change.object.kind == "database"
    }
    assert ["--recreate" in note for note in found.notes] == [True]
    assert found.refusals == ()


def test_a_database_to_be_made_anew_that_is_not_there_is_made(plan):
    for only in (None, {"databases": ["shop"], "recreate": ["shop"]}):
        databases = [{"name": "shop", "state": "recreate"}]
        found = plan(only, users=[], databases=databases)
        assert next(c.what for c in found.changes if str(c.object) == "database shop") == "created"


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"tablespace": "slow"}, "tablespace"),
        ({"owner": "nobody"}, "owned by nobody"),
        ({"state": "absent"}, "absent"),
        ({"template": "nothing"}, "copy of nothing"),
    ],
)
def test_what_could_not_be_made_is_not_dropped(plan, make, declared, reason):
    only = {"databases": ["shop"], "recreate": ["shop"]}
    found = plan(only, make.database("shop"), databases=[{"name": "shop", **declared}])
    assert [reason in refusal.reason for refusal in found.refusals] == [True]
    assert found.changes == ()


def test_postgresqls_own_are_not_made_anew(plan):
    only = {"databases": ["postgres"], "recreate": ["postgres"]}
    found = plan(only, databases=[{"name": "postgres"}])
    assert "can't be dropped" in found.refusals[0].reason
