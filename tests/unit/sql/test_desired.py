"""From the parameters of an inventory to the objects of the pillar."""

from __future__ import annotations

import json
from datetime import date

import pytest

from pigsty.errors import PillarError
from pigsty.sql import desired, wanted

DEFAULT_ROLES = [
    "dbrole_readonly",
    "dbrole_offline",
    "dbrole_readwrite",
    "dbrole_admin",
    "postgres",
    "replicator",
    "dbuser_dba",
    "dbuser_monitor",
]


def roles(objects):
    return {role["name"]: role for role in objects["roles"]}


def test_plain_data_and_the_same_every_time(pillar):
    users = [{"name": "app", "password": "Secret"}]
    first = json.dumps(pillar(pg_users=users))
    assert json.dumps(pillar(pg_users=users)) == first
    wanted.load(json.loads(first))


def test_defaults_of_the_catalogue(pillar):
    objects = pillar()
    assert list(roles(objects)) == DEFAULT_ROLES
    assert all(role["system"] for role in objects["roles"])
    assert len(objects["privileges"]) == 17
    assert {"name": "pg_repack"} in objects["extensions"]


def test_no_plain_password(pillar):
    plain = {f"pg_{of}_password": f"Plain.{of}" for of in ("dbsu", "admin", "monitor")}
    users = [{"name": "app", "password": "Plain.app"}]
    text = json.dumps(pillar(pg_users=users, pg_replication_password="Plain.repl", **plain))
    assert "Plain." not in text
    assert text.count("SCRAM-SHA-256$") == 5


def test_undeclared_system_passwords_are_derived(pillar):
    found = roles(pillar())
    assert all("password" in found[name] for name in ("replicator", "dbuser_dba"))
    assert "password" not in found["postgres"], "it logs in by the socket"


def test_md5(pillar):
    objects = pillar(pg_pwd_enc="md5", pg_users=[{"name": "joe", "password": "secret"}])
    assert roles(objects)["joe"]["password"].startswith("md5")


def test_renamed_system_roles(pillar):
    found = roles(pillar(pg_admin_username="boss", pg_replication_username="copier"))
    assert "dbuser_dba" not in found
    assert found["boss"]["superuser"] is True
    assert found["copier"]["replication"] is True
    assert found["boss"]["roles"] == [{"name": "dbrole_admin"}]


def test_list_of_roles_without_the_system_ones(pillar):
    found = roles(pillar(pg_default_roles=[{"name": "mine"}]))
    assert set(found) == {"mine", "postgres", "replicator", "dbuser_dba", "dbuser_monitor"}
    assert found["replicator"]["replication"] is True
    assert found["dbuser_dba"]["superuser"] is True


def test_user_adds_to_the_default_role_of_its_name(pillar):
    users = [{"name": "dbuser_monitor", "connlimit": 8}, {"name": "dbrole_readonly", "login": True}]
    found = roles(pillar(pg_users=users))
    assert found["dbuser_monitor"]["connlimit"] == 8
    assert found["dbuser_monitor"]["comment"] == roles(pillar())["dbuser_monitor"]["comment"]
    assert "login" not in found["dbrole_readonly"], "true is the default"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, {"comment": "business user u"}),
        ({"login": True, "inherit": True, "superuser": False, "connlimit": -1}, {}),
        ({"login": False}, {"login": False}),
        ({"expire_in": 0}, {"expire_in": 0}),
        ({"expire_at": date(2030, 1, 2)}, {"expire_at": "2030-01-02"}),
        ({"roles": ["a", {"name": "b"}]}, {"roles": [{"name": "a"}, {"name": "b"}]}),
        (
            {"roles": [{"name": "a", "state": "revoke"}, {"name": "b", "admin": True}]},
            {"roles": [{"name": "b", "admin": True}]},
        ),
        (
            {"parameters": {"b": True, "a": 1, "c": ["x", "y"], "d": "DEFAULT", "e": None}},
            {"parameters": {"a": "1", "b": "on", "c": "x, y"}},
        ),
        ({"state": "absent"}, {"state": "absent"}),
        ({"state": "create"}, {}),
        ({"pool_mode": "session", "pgbouncer": True}, {}),
    ],
)
def test_user(pillar, entry, expected):
    found = roles(pillar(pg_users=[{"name": "u", **entry}]))["u"]
    assert found == {"name": "u", "comment": "business user u", **expected}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, {}),
        ({"allowconn": True, "connlimit": -1, "is_template": False, "revokeconn": False}, {}),
        ({"allowconn": False}, {"allowconn": False}),
        ({"owner": "o", "comment": "c"}, {"owner": "o", "comment": "c"}),
        (
            {"schemas": ["a", {"name": "b", "owner": "o"}, {"name": "a", "state": "absent"}]},
            {"schemas": [{"name": "a", "state": "absent"}, {"name": "b", "owner": "o"}]},
        ),
        (
            {"extensions": ["a", {"name": "b", "schema": "s", "version": 1.5}]},
            {"extensions": [{"name": "a"}, {"name": "b", "schema": "s", "version": "1.5"}]},
        ),
        ({"pool_size": 5, "pgbouncer": False}, {}),
        ({"baseline": "base.sql"}, {"baseline": "base.sql"}),
    ],
)
def test_database(pillar, entry, expected):
    found = pillar(pg_databases=[{"name": "d", **entry}])["databases"]
    assert found == [{"name": "d", "comment": "business database d", **expected}]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GRANT USAGE      ON SCHEMAS   TO a", (True, ["USAGE"], "schemas", ["a"])),
        ("grant select, insert on tables to a;", (True, ["SELECT", "INSERT"], "tables", ["a"])),
        ("GRANT USAGE ON TYPES TO a, b", (True, ["USAGE"], "types", ["a", "b"])),
        ("GRANT ALL PRIVILEGES ON SEQUENCES TO PUBLIC", (True, ["ALL"], "sequences", ["public"])),
        ("GRANT EXECUTE ON ROUTINES TO a", (True, ["EXECUTE"], "functions", ["a"])),
        ("REVOKE USAGE ON TYPES FROM PUBLIC", (False, ["USAGE"], "types", ["public"])),
        ('GRANT SELECT ON TABLES TO "My-Role"', (True, ["SELECT"], "tables", ["My-Role"])),
    ],
)  # fmt: skip
def test_privilege(pillar, line, expected):
    (found,) = pillar(pg_default_privileges=[line])["privileges"]
    assert (found["grant"], found["privileges"], found["on"], found["roles"]) == expected


@pytest.mark.parametrize(
    "line",
    [
        "GRANT SELECT ON TABLE x TO a",
        "GRANT EXECUTE ON TABLES TO a",
        "DROP ROLE a",
        "GRANT SELECT ON TABLES TO",
        "",
    ],
)
def test_privilege_that_makes_no_sense(pillar, line):
    with pytest.raises(PillarError, match="pg_default_privileges"):
        pillar(pg_default_privileges=[line])


@pytest.mark.parametrize("param", ["pg_users", "pg_databases", "pg_default_extensions"])
def test_entry_without_a_name(pillar, param):
    with pytest.raises(PillarError, match=f"{param}: an entry has no name"):
        pillar(**{param: [{"comment": "x"}]})


def test_keys_at_their_default_are_left_out():
    assert desired.settings(None) == {}


def test_wanted_merges_defaults_and_own(pillar):
    objects = pillar(
        pg_default_schemas=["monitor"],
        pg_default_extensions=["a", "b"],
        pg_databases=[
            {"name": "d", "schemas": ["s"], "extensions": [{"name": "b", "schema": "s"}]}
        ],
    )
    found = wanted.load(objects)
    own = found.databases["d"]
    assert [schema.name for schema in own.schemas] == ["monitor", "s"]
    assert [(e.name, e.schema, e.default) for e in own.extensions] == [
        ("a", "", True),
        ("b", "s", False),
    ]
    assert own.owner == "postgres"
    assert [e.name for e in found.databases["template1"].extensions] == ["a", "b"]
    assert not found.databases["postgres"].managed
