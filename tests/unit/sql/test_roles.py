"""From declared and existing roles to changes."""

from __future__ import annotations

from datetime import date

import pytest

from pigsty.sql import change, roles
from pigsty.sql.model import Membership, Object

SCRAM = "SCRAM-SHA-256$4096:c2FsdA==$x:y"


def statements(plan, name="app"):
    return [
        statement.as_string(None)
        for step in plan.changes
        if step.object == Object("role", name)
        for statement in step.statements
    ]


def reported(plan, name="app"):
    return change.report(plan.changes).get(f"role {name}", {})


@pytest.fixture
def changed(compare, make):
    """A function: a declared user ``app`` and the fields of the existing one to the report."""

    def _changed(declared=None, *things, major=17, **fields):
        user = {"name": "app", **(declared or {})}
        plan = compare([user], things=[make.role(**fields), *things], version=major * 10000)
        assert plan.refusals == ()
        return reported(plan)

    return _changed


def test_as_declared(changed):
    assert changed() == {}


def test_undeclared_roles_are_nobodys_business(compare, make):
    plan = compare(things=[make.role("stranger", superuser=True, password="x", connlimit=3)])
    assert [step for step in plan.changes if step.object.kind == "role"] == []


@pytest.mark.parametrize(
    "attribute",
    ["login", "superuser", "createdb", "createrole", "inherit", "replication", "bypassrls"],
)
def test_every_attribute_goes_back_to_its_default(changed, attribute):
    default = attribute in ("login", "inherit")
    assert changed({}, **{attribute: not default}) == {
        attribute: {"old": not default, "new": default}
    }
    assert changed({attribute: not default}, **{attribute: not default}) == {}


def test_new_role_in_one_go(compare):
    plan = compare([{"name": "app", "login": False, "connlimit": 3, "comment": "c"}])
    assert reported(plan) == {
        "created": {"old": None, "new": "inherit, connlimit 3"},
        "comment": {"old": None, "new": "c"},
    }


@pytest.mark.parametrize(
    ("declared", "have", "shown"),
    [
        ("1000", {}, {"old": None, "new": "1000"}),
        ("1000", {"work_mem": "5"}, {"old": "5", "new": "1000"}),
        ("1000", {"WORK_MEM": "1000"}, None),
        (None, {"work_mem": "5"}, {"old": "5", "new": None}),
    ],
)
def test_parameters(changed, declared, have, shown):
    wanted = {"parameters": {"work_mem": declared}} if declared else {}
    assert changed(wanted, parameters=have).get("parameter work_mem") == shown


# Passwords.


def test_password_is_told_without_its_value(compare, make):
    plan = compare([{"name": "app", "password": SCRAM}], things=[make.role(password="md5old")])
    assert reported(plan) == {"password": "changed"}
    assert statements(plan) == [
        f"ALTER ROLE \"app\" PASSWORD '{SCRAM}'",
        'ALTER ROLE "app" SET "pigsty"."password" TO \'inventory\'',
    ]
    assert SCRAM not in repr(plan)
    assert all(step.secret for step in plan.changes if step.what == "password")


def test_same_password(changed):
    assert changed({"password": SCRAM}, password=SCRAM, marks={"password": "inventory"}) == {}


def test_same_password_that_was_not_marked_yet(changed):
    found = changed({"password": SCRAM}, password=SCRAM)
    assert found == {"password managed": {"old": False, "new": True}}


def test_undeclared_password(compare, make, changed):
    assert changed({}, password="md5byhand") == {}
    ours = make.role(password=SCRAM, marks={"password": "inventory"})
    plan = compare([{"name": "app"}], things=[ours])
    assert statements(plan) == [
        'ALTER ROLE "app" PASSWORD NULL',
        'ALTER ROLE "app" RESET "pigsty"."password"',
    ]


# Validity.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", ""),
        ("infinity", ""),
        (" Infinity ", ""),
        ("2030-01-02", "2030-01-02T00:00:00"),
        ("2030-01-02 03:04", "2030-01-02T03:04:00"),
        ("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05"),
        ("2030-01-02 03:04:05Z", "2030-01-02T03:04:05"),
        ("tomorrow", None),
        ("2030-13-01", None),
        ("30", None),
    ],
)
def test_moment(text, moment):
    assert roles.moment(text) == moment


@pytest.mark.parametrize(
    ("days", "mark", "have", "shown"),
    [
        (30, None, "", "2026-01-31T00:00:00"),
        (30, "30 2025-12-31T00:00:00", "2025-12-31T00:00:00", None),
        (30, "30 2025-12-31T00:00:00", "2040-01-01T00:00:00", "2025-12-31T00:00:00"),
        (31, "30 2025-12-31T00:00:00", "2025-12-31T00:00:00", "2026-02-01T00:00:00"),
        (0, None, "", "2026-01-01T00:00:00"),
        (None, "30 2025-12-31T00:00:00", "2025-12-31T00:00:00", "never"),
        (None, None, "2025-12-31T00:00:00", "never"),
    ],
)
def test_expire_in(compare, make, days, mark, have, shown):
    user = {"name": "app"} | ({} if days is None else {"expire_in": days})
    existing = make.role(valid_until=have, marks={"expire_in": mark} if mark else {})
    plan = compare([user], things=[existing], today=date(2026, 1, 1))
    assert reported(plan).get("expires", {}).get("new") == shown


def test_expire_in_wins_over_expire_at(compare):
    plan = compare([{"name": "app", "expire_in": 1, "expire_at": "2040-01-01"}])
    assert reported(plan)["expires"]["new"] == "2026-01-02T00:00:00"


# Memberships.


def of(role="pg_monitor", **options):
    return {role: Membership(role, **options)}


@pytest.mark.parametrize(
    ("declared", "have", "major", "shown"),
    [
        ({}, {}, 17, {"old": None, "new": "member"}),
        ({}, of(inherit=True), 17, None),
        ({}, of(inherit=False), 17, {"old": "member (no inherit)", "new": "member"}),
        ({"inherit": False}, of(inherit=False), 17, None),
        ({"set": False}, of(inherit=True), 17, {"old": "member", "new": "member (no set)"}),
        ({"admin": True}, of(inherit=True), 17, {"old": "member", "new": "member (admin)"}),
        ({}, of(admin=True, inherit=True), 17, {"old": "member (admin)", "new": "member"}),
        ({}, of(), 15, None),
        ({"set": False, "inherit": False}, of(), 15, None),
        ({}, of(admin=True), 15, {"old": "member (admin)", "new": "member"}),
        (None, of(inherit=True), 17, {"old": "member", "new": None}),
        (None, of(), 15, {"old": "member", "new": None}),
    ],
)
def test_membership(changed, declared, have, major, shown):
    wanted = {} if declared is None else {"roles": [{"name": "pg_monitor", **declared}]}
    found = changed(wanted, memberships=have, major=major)
    assert found.get("member of pg_monitor") == shown


def test_role_that_inherits_nothing(changed):
    wanted = {"inherit": False, "roles": [{"name": "pg_monitor"}]}
    assert changed(wanted, inherit=False, memberships=of(inherit=False)) == {}


def test_membership_that_postgresql_made_itself_stays(changed):
    made = Membership("pg_monitor", admin=True, inherit=False, set=False)
    assert changed({"createrole": True}, createrole=True, memberships={"pg_monitor": made}) == {}


def test_memberships_of_the_superuser_stay(compare, make):
    user = {"name": "postgres", "superuser": True, "system": True}
    old = make.role(
        "postgres", superuser=True, bootstrap=True, memberships=of(inherit=True), login=True
    )
    assert reported(compare([user], things=[old]), "postgres") == {}


def test_groups_come_before_their_members(compare):
    users = [
        {"name": "c", "roles": [{"name": "b"}]},
        {"name": "b", "roles": [{"name": "a"}]},
        {"name": "a"},
    ]
    made = [step.object.name for step in compare(users).changes if step.what == "created"]
    assert made == ["a", "b", "c"]


# What is refused.


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"name": "pg_x"}, "PostgreSQL's own"),
        ({"name": "public"}, "reserved"),
        ({"name": "a\nb"}, "control character"),
        ({"name": "app", "roles": [{"name": "app"}]}, "which is a member of it"),
        ({"name": "app", "roles": [{"name": "gone"}]}, "gone, which doesn't exist"),
        ({"name": "app", "roles": [{"name": "leaving"}]}, "leaving, which doesn't exist"),
        ({"name": "app", "expire_at": "soon"}, "no date"),
        ({"name": "app", "parameters": {"a b": "1"}}, "no name of a parameter"),
        ({"name": "postgres", "state": "absent"}, "initdb"),
        ({"name": "sys", "state": "absent", "system": True}, "role of the system"),
    ],
)
def test_refused(compare, make, user, reason):
    users = [user, {"name": "leaving", "state": "absent"}]
    plan = compare(users, things=[make.role("leaving"), make.role("sys")])
    assert [refusal.object.name for refusal in plan.refusals] == [user["name"]]
    assert reason in plan.refusals[0].reason
    assert all(step.object.name != user["name"] for step in plan.changes)


def test_circle_is_refused_and_the_others_are_made(compare):
    users = [
        {"name": "one", "roles": [{"name": "two"}]},
        {"name": "two", "roles": [{"name": "three"}]},
        {"name": "three", "roles": [{"name": "one"}]},
        {"name": "fine"},
    ]
    plan = compare(users)
    assert {refusal.object.name for refusal in plan.refusals} == {"one", "two", "three"}
    assert {step.object.name for step in plan.changes if step.what == "created"} == {"fine"}


# Roles that go.


def test_absent_role_that_is_not_there(compare):
    plan = compare([{"name": "app", "state": "absent"}])
    assert reported(plan) == {}


def test_absent_role_is_dropped_last_and_only_where_it_holds_something(compare, make):
    plan = compare(
        [{"name": "app", "state": "absent"}, {"name": "new"}],
        [{"name": "shop"}],
        things=[make.role(), make.database("shop"), make.database("closed", allowconn=False)],
        holdings={"app": frozenset({"shop", "closed"})},
    )
    mine = [step for step in plan.changes if step.object == Object("role", "app")]
    assert plan.changes[-len(mine) :] == tuple(mine)
    assert [step.database for step in mine] == ["", "shop", ""]
    assert statements(plan)[0] == 'ALTER ROLE "app" NOLOGIN'
    assert statements(plan)[-1] == 'DROP ROLE "app"'
    assert 'REASSIGN OWNED BY "app" TO "postgres"' in statements(plan)


def test_what_needs_a_refused_role_is_refused_with_it(compare):
    users = [{"name": "bad", "expire_at": "soon"}, {"name": "app", "roles": [{"name": "bad"}]}]
    plan = compare(users, [{"name": "shop", "owner": "app"}])
    reasons = {refusal.object.name: refusal.reason for refusal in plan.refusals}
    assert reasons["app"] == "is to be a member of bad, which can't be made"
    assert reasons["shop"] == "is to be owned by app, which doesn't exist"
