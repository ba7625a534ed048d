"""Roles, passwords, memberships on a real server: made, kept, repaired."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from declared import user

TODAY = date(2026, 1, 1)


def test_everything_from_nothing_then_nothing(settle):
    changes = settle()
    assert changes["database shop"]["created"]["new"] == "owner owner"
    assert "extension pg_stat_statements in template1" in changes
    # A copy of template1 has what that one has: nothing to do but the owner's privileges.
    assert {name for name in changes if name.endswith(" in shop")} == {
        "default privileges of owner in shop"
    }


def rolconfig(instance, name):
    query = (
        "SELECT coalesce(setconfig, '{}') FROM pg_roles r"
        " LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0"
        " WHERE rolname = %s"
    )
    return {entry for entry in instance.query(query, name)[0][0] if not entry.startswith("pigsty.")}


# Passwords.


def login(instance, name, password):
    """The user that a login over TCP gives, where only SCRAM is accepted."""
    with psycopg.connect(
        host="127.0.0.1",
        port=instance.server.port,
        user=name,
        password=password,
        dbname="shop",
        connect_timeout=5,
        gssencmode="disable",
    ) as connection:
        return connection.execute("SELECT current_user").fetchone()[0]


@pytest.mark.parametrize("password", ["App.Secret", "pass wörd ②", 'it\'s "quoted" \\ %s'])
def test_login_with_the_declared_password(instance, inventory, settle, password):
    user(inventory, "app")["password"] = password
    settle()
    assert login(instance, "app", password) == "app"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login(instance, "app", "wrong")


def test_changed_password(instance, inventory, settle):
    settle()
    user(inventory, "app")["password"] = "Another"
    assert settle() == {"role app": {"password": "changed"}}
    assert login(instance, "app", "Another") == "app"


def test_password_of_somebody_elses_is_put_back(instance, settle):
    settle()
    instance.query("ALTER ROLE app PASSWORD 'drift'")
    assert settle() == {"role app": {"password": "changed"}}
    assert login(instance, "app", "App.Secret") == "app"


def test_removed_password_is_taken_away(instance, inventory, settle):
    settle()
    del user(inventory, "app")["password"]
    assert set(settle()["role app"]) == {"password"}
    found = instance.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
    assert found == [(None,)]


def test_password_that_was_never_declared_is_left_alone(instance, inventory, settle):
    inventory["pg_users"].append({"name": "person"})
    settle()
    instance.query("ALTER ROLE person PASSWORD 'by hand'")
    assert settle() == {}
    assert login(instance, "person", "by hand") == "person"


def test_no_log_and_no_statistics_hold_a_verifier(instance, inventory, settle, run, pillar):
    settle()
    user(inventory, "app")["password"] = "Another"
    settle()
    # A statement that fails is the one that a server likes to log.
    user(inventory, "app")["password"] = "Third"
    user(inventory, "app")["parameters"] = {"work_mem": "nonsense"}
    assert "role app" in run().failures
    instance.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA monitor CASCADE")
    seen = instance.query("SELECT string_agg(query, ' ') FROM monitor.pg_stat_statements")[0][0]
    assert "CREATE DATABASE" in instance.log, "the log is not watched"
    for text in (instance.log, seen):
        assert "SCRAM-SHA-256$" not in text
        for role in pillar(**inventory)["roles"]:
            if "password" in role:
                assert role["password"].split("$")[2] not in text


def test_no_outcome_holds_a_verifier(inventory, run):
    done = run()
    assert "SCRAM" not in repr(done)
    user(inventory, "app")["password"] = "Another"
    assert "SCRAM" not in repr(run(test=True))


# Roles.


def test_attributes_removed_from_the_inventory_go_back(instance, inventory, settle):
    app = user(inventory, "app")
    before = dict(app)
    app |= {
        "login": False,
        "superuser": True,
        "createdb": True,
        "createrole": True,
        "inherit": False,
        "replication": True,
        "bypassrls": True,
        "connlimit": 7,
        "expire_at": "2031-02-03",
        "comment": "something else",
        "parameters": {"work_mem": "64MB", "search_path": ["shop", "public"]},
    }
    settle()
    assert rolconfig(instance, "app") == {"work_mem=64MB", "search_path=shop, public"}
    app.clear()
    app.update(before)
    changes = settle()["role app"]
    assert changes["connlimit"] == {"old": 7, "new": -1}
    assert changes["expires"] == {"old": "2031-02-03T00:00:00", "new": "never"}
    assert changes["parameter work_mem"] == {"old": "64MB", "new": None}
    columns = "rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolreplication"
    found = instance.query(f"SELECT {columns}, rolbypassrls FROM pg_roles WHERE rolname = 'app'")
    assert found == [(True, False, False, False, True, False, False)]
    assert rolconfig(instance, "app") == set()


def test_drift_of_a_role_is_repaired(instance, settle):
    settle()
    instance.query("ALTER ROLE app CREATEDB CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'")
    instance.query("ALTER ROLE app SET work_mem = '1MB'")
    instance.query("COMMENT ON ROLE app IS 'drift'")
    instance.query("REVOKE dbrole_readwrite FROM app")
    instance.query("GRANT dbrole_admin TO app")
    assert set(settle()["role app"]) == {
        "createdb",
        "connlimit",
        "expires",
        "parameter work_mem",
        "comment",
        "member of dbrole_readwrite",
        "member of dbrole_admin",
    }


def test_memberships_follow_the_inventory(instance, inventory, settle):
    app = user(inventory, "app")
    app["roles"] = [{"name": "dbrole_readonly", "admin": True}, "owner"]
    settle()
    query = (
        "SELECT g.rolname, admin_option FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'app' ORDER BY 1"
    )
    assert instance.query(query) == [("dbrole_readonly", True), ("owner", False)]
    app["roles"] = ["dbrole_readonly"]
    assert set(settle()["role app"]) == {"member of dbrole_readonly", "member of owner"}
    assert instance.query(query) == [("dbrole_readonly", False)]


def test_expire_in_counts_from_the_day_it_was_first_set(instance, inventory, settle):
    query = "SELECT rolvaliduntil::date::text FROM pg_roles WHERE rolname = 'app'"
    user(inventory, "app")["expire_in"] = 30
    settle(today=date(2026, 1, 1))
    assert instance.query(query) == [("2026-01-31",)]
    assert settle(today=date(2026, 1, 20)) == {}
    user(inventory, "app")["expire_in"] = 60
    settle(today=date(2026, 1, 20))
    assert instance.query(query) == [("2026-03-21",)]
    instance.query("ALTER ROLE app VALID UNTIL 'infinity'")
    settle(today=date(2026, 2, 1))
    assert instance.query(query) == [("2026-03-21",)]
    del user(inventory, "app")["expire_in"]
    settle(today=date(2026, 2, 2))
    assert instance.query(query) == [("infinity",)]


def test_list_parameters_are_lists(instance, inventory, settle):
    user(inventory, "app")["parameters"] = {"search_path": '"$user", shop , "My, Schema"'}
    settle()
    assert rolconfig(instance, "app") == {'search_path="$user", shop, "My, Schema"'}


def test_dropped_role_leaves_its_objects_to_the_superuser(instance, inventory, settle):
    settle()
    for name in ("shop", "postgres"):
        instance.query("CREATE SCHEMA mine AUTHORIZATION app", database=name)
        instance.query("GRANT USAGE ON SCHEMA mine TO app", database=name)
    instance.query("CREATE DATABASE theirs OWNER app")
    user(inventory, "app")["state"] = "absent"
    assert "dropped" in settle()["role app"]
    assert instance.query("SELECT 1 FROM pg_roles WHERE rolname = 'app'") == []
    owner = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'mine'"
    assert instance.query(owner, database="shop") == [(instance.server.dbsu,)]


@pytest.mark.parametrize("name", ["dbuser_dba", "replicator", "dbrole_readonly", "postgres"])
def test_roles_of_the_system_are_not_dropped(instance, inventory, run, name):
    run()
    inventory["pg_users"].append({"name": name, "state": "absent"})
    done = run()
    assert "system" in done.failures[f"role {name}"]
    assert instance.query("SELECT 1 FROM pg_roles WHERE rolname = %s", name) == [(1,)]


# Databases.
