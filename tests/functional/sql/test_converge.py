"""Objects on a real server: made, kept, repaired, refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import psycopg
import pytest

from pigsty import deadlines
from pigsty.sql import baseline, converge, session, wanted

TODAY = date(2026, 1, 1)


@pytest.fixture
def run(instance, inventory, pillar):
    """Converge the instance to the inventory as it is at that moment."""

    def _run(*, test=False, today=TODAY, files=None):
        def fill(server, database, file):
            baseline.run(server, database, files / file, str(instance.bin / "psql"))

        declared = wanted.load(pillar(**inventory))
        return converge.converge(declared, instance.server, fill, test=test, today=today)

    return _run


@pytest.fixture
def settle(run):
    """A run that must succeed, after which another finds nothing to do; returns its changes."""

    def _settle(**options):
        looked = run(test=True, **options)
        done = run(**options)
        assert done.failures == {}
        assert looked.changes == done.changes, "test mode tells other changes than a real run"
        assert looked.failures == {}
        again = run(**options)
        assert (again.changes, again.failures) == ({}, {})
        return done.changes

    return _settle


def test_everything_from_nothing_then_nothing(settle):
    changes = settle()
    assert changes["database shop"]["created"]["new"] == "owner owner"
    assert "extension pg_stat_statements in template1" in changes
    # A copy of template1 has what that one has: nothing to do but the owner's privileges.
    assert {name for name in changes if name.endswith(" in shop")} == {
        "default privileges of owner in shop"
    }


def user(inventory, name):
    return next(entry for entry in inventory["pg_users"] if entry["name"] == name)


def database(inventory, name):
    return next(entry for entry in inventory["pg_databases"] if entry["name"] == name)


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


def test_database_attributes_and_their_removal(instance, inventory, settle):
    shop = database(inventory, "shop")
    before = dict(shop)
    shop |= {
        "revokeconn": True,
        "connlimit": 9,
        "is_template": True,
        "comment": 'it\'s a "shop"',
        "parameters": {"search_path": "a, b", "statement_timeout": 1000},
    }
    settle()
    assert not can_connect(instance, "app", "shop")
    assert can_connect(instance, "dbuser_monitor", "shop")
    assert can_connect(instance, "owner", "shop")
    shop.clear()
    shop.update(before)
    changes = settle()["database shop"]
    assert changes["connlimit"] == {"old": 9, "new": -1}
    assert changes["privileges of public"] == {"old": None, "new": "CONNECT"}
    assert changes["parameter statement_timeout"] == {"old": "1000", "new": None}
    assert can_connect(instance, "app", "shop")


def can_connect(instance, role, name):
    return instance.query("SELECT has_database_privilege(%s, %s, 'CONNECT')", role, name)[0][0]


def test_public_creates_nothing(instance, settle):
    settle()
    for name in ("shop", "template1", "postgres"):
        query = "SELECT has_schema_privilege(%s, 'public', 'CREATE')"
        assert instance.query(query, "app", database=name) == [(False,)]
        assert instance.query(query, "dbrole_admin", database=name) == [(True,)]


def test_default_privileges_work(instance, settle):
    settle()
    instance.query("SET ROLE owner; CREATE SCHEMA s; CREATE TABLE s.t (a int)", database="shop")
    query = "SELECT has_table_privilege(%s, 's.t', %s)"
    for role, privilege, granted in (
        ("app", "INSERT", True),
        ("app", "TRUNCATE", False),
        ("dbrole_readonly", "SELECT", True),
        ("dbrole_readonly", "INSERT", False),
        ("dbrole_admin", "TRUNCATE", True),
    ):
        found = instance.query(query, role, privilege, database="shop")
        assert found == [(granted,)], (role, privilege)


def test_privilege_removed_from_the_inventory_is_revoked(instance, inventory, settle):
    settle()
    instance.query(
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT DELETE ON TABLES TO dbrole_readonly;"
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT DELETE ON TABLES TO app",
        database="shop",
    )
    assert settle() == {
        "default privileges of owner in shop": {
            "tables to dbrole_readonly": {"old": "DELETE, SELECT", "new": "SELECT"}
        }
    }


def test_revoked_default_privilege(instance, inventory, settle):
    inventory["pg_default_privileges"] = ["REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"]
    settle()
    instance.query(
        "SET ROLE owner; CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        database="shop",
    )
    query = "SELECT has_function_privilege('app', 'public.f()', 'EXECUTE')"
    assert instance.query(query, database="shop") == [(False,)]


def test_schemas_and_extensions(instance, inventory, settle):
    shop = database(inventory, "shop")
    shop["schemas"] = ["plain", {"name": "owned", "owner": "app"}]
    shop["extensions"] = [{"name": "pg_trgm", "schema": "ext"}, "citext", "earthdistance"]
    settle()
    query = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s"
    assert instance.query(query, "owned", database="shop") == [("app",)]
    shop["schemas"] = [{"name": "plain", "state": "absent"}, {"name": "owned", "owner": "owner"}]
    shop["extensions"] = [
        {"name": "pg_trgm", "schema": "public"},
        {"name": "citext", "state": "absent"},
    ]
    changes = settle()
    assert changes["extension pg_trgm in shop"]["schema"] == {"old": "ext", "new": "public"}
    assert changes["extension citext in shop"] == {"dropped": {"old": True, "new": False}}
    assert changes["schema owned in shop"] == {"owner": {"old": "app", "new": "owner"}}
    assert instance.query(query, "plain", database="shop") == []


def test_extension_version(instance, inventory, settle):
    shop = database(inventory, "shop")
    shop["extensions"] = [{"name": "pg_trgm", "version": "1.3"}]
    settle()
    shop["extensions"] = [{"name": "pg_trgm", "version": "1.5"}]
    assert settle() == {"extension pg_trgm in shop": {"version": {"old": "1.3", "new": "1.5"}}}


def test_drift_in_a_database_is_repaired(instance, inventory, settle):
    database(inventory, "shop")["schemas"] = ["a"]
    settle()
    instance.query("DROP SCHEMA a; DROP EXTENSION pg_stat_statements", database="shop")
    instance.query("GRANT CREATE ON SCHEMA public TO PUBLIC", database="shop")
    instance.query("REVOKE CREATE ON DATABASE shop FROM dbrole_admin")
    assert set(settle()) == {
        "schema a in shop",
        "extension pg_stat_statements in shop",
        "schema public in shop",
        "database shop",
    }


def test_database_of_another_locale(instance, inventory, settle):
    inventory["pg_databases"].append({"name": "plain", "encoding": "SQL_ASCII", "locale": "C"})
    changes = settle()
    assert "template template0" in changes["database plain"]["created"]["new"]
    # A copy of template0 has none of template1's extensions.
    assert "extension pg_stat_statements in plain" in changes
    database(inventory, "plain")["encoding"] = "UTF8"
    assert settle() == {}


def test_copy_of_a_declared_database(instance, inventory, settle):
    inventory["pg_databases"].insert(0, {"name": "copy", "template": "shop", "owner": "app"})
    database(inventory, "shop")["schemas"] = ["a"]
    changes = settle()
    assert list(changes).index("database shop") < list(changes).index("database copy")
    assert "schema a in copy" not in changes


def test_closed_database(instance, inventory, settle):
    shop = database(inventory, "shop")
    shop["allowconn"] = False
    settle()
    assert instance.query("SELECT datallowconn FROM pg_database WHERE datname = 'shop'") == [
        (False,)
    ]
    del shop["allowconn"]
    settle()


def test_reopened_database_gets_its_contents_in_the_same_run(instance, inventory, run):
    shop = database(inventory, "shop")
    shop["allowconn"] = False
    run()
    del shop["allowconn"]
    shop["schemas"] = ["late"]
    done = run()
    assert done.failures == {}
    assert "schema late in shop" in done.changes


def test_dropped_database(instance, inventory, settle):
    settle()
    with instance.server.impersonated():
        session = instance.server.connect("shop")
    database(inventory, "shop")["state"] = "absent"
    assert "dropped" in settle()["database shop"]
    session.close()
    assert instance.query("SELECT 1 FROM pg_database WHERE datname = 'shop'") == []


def test_half_made_database_is_finished(instance, inventory, settle):
    """A run that died after CREATE DATABASE leaves one that nobody can enter."""
    instance.query("CREATE DATABASE shop CONNECTION LIMIT 0")
    changes = settle()["database shop"]
    assert changes["connlimit"] == {"old": 0, "new": -1}
    assert changes["owner"]["new"] == "owner"


# Baselines.


def test_baseline_is_run_once(instance, inventory, settle, tmp_path):
    file = tmp_path / "base.sql"
    file.write_text(
        "\\set number 42\nCREATE TABLE t AS SELECT :number AS a;\n"
        "ALTER DATABASE shop SET work_mem = '5MB';\nINSERT INTO t VALUES (7)"
    )
    tmp_path.chmod(0o755)
    database(inventory, "shop")["baseline"] = "base.sql"
    changes = settle(files=tmp_path)
    assert changes["baseline base.sql in shop"] == {"run": {"old": None, "new": True}}
    file.write_text("DROP TABLE t;")
    assert settle(files=tmp_path) == {}
    assert instance.query("SELECT a FROM t ORDER BY a", database="shop") == [(7,), (42,)]
    # What the baseline set on its database is not undone as undeclared.
    query = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase ="
    found = instance.query(f"{query} (SELECT oid FROM pg_database WHERE datname = 'shop')")
    assert "work_mem=5MB" in found[0][0]


def test_broken_baseline_leaves_nothing_and_is_tried_again(instance, inventory, run, tmp_path):
    file = tmp_path / "base.sql"
    file.write_text("CREATE TABLE t (a int);\nSELECT nonsense;\n")
    database(inventory, "shop")["baseline"] = "base.sql"
    done = run(files=tmp_path)
    assert "nonsense" in done.failures["baseline base.sql in shop"]
    assert "baseline base.sql in shop" not in done.changes
    assert "database shop" in done.changes
    assert instance.query("SELECT to_regclass('t')::text", database="shop") == [(None,)]
    file.write_text("CREATE TABLE t (a int);")
    assert run(files=tmp_path).failures == {}
    assert instance.query("SELECT to_regclass('t')::text", database="shop") == [("t",)]


def test_missing_baseline(inventory, run, tmp_path):
    database(inventory, "shop")["baseline"] = "none.sql"
    assert "No such file" in run(files=tmp_path).failures["baseline none.sql in shop"]


def test_baseline_is_not_run_on_somebody_elses_database(instance, inventory, run, tmp_path):
    instance.query("CREATE DATABASE shop")
    (tmp_path / "base.sql").write_text("CREATE TABLE t (a int);")
    database(inventory, "shop")["baseline"] = "base.sql"
    done = run(files=tmp_path)
    assert done.failures == {}
    assert any("left out" in note for note in done.notes)
    assert instance.query("SELECT to_regclass('t')::text", database="shop") == [(None,)]


# Bad input and faults.


def test_one_failure_leaves_the_others_be(instance, inventory, run):
    inventory["pg_users"] += [
        {"name": "bad\nname"},
        {"name": 'bad"name'},
        {"name": "pg_bad"},
        {"name": "x" * 64},
        {"name": "selfish", "roles": ["selfish"]},
        {"name": "one", "roles": ["two"]},
        {"name": "two", "roles": ["one"]},
        {"name": "lost", "roles": ["nobody"]},
        {"name": "never", "expire_at": "tomorrow"},
        {"name": "broken", "parameters": {"work_mem": "banana"}},
        {"name": "sneaky", "parameters": {"a = 1; DROP ROLE app; --": "1"}},
        {"name": "fine"},
    ]
    inventory["pg_databases"] += [
        {"name": "orphan", "owner": "nobody"},
        {"name": "nowhere", "tablespace": "none"},
        {"name": "again", "state": "recreate"},
        {"name": "template0"},
        {"name": "extended", "extensions": ["no_such_extension", "citext"]},
        {"name": "good"},
    ]
    looked = run(test=True)
    done = run()
    assert set(done.failures) == {
        "role bad\nname",
        'role bad"name',
        "role pg_bad",
        f"role {'x' * 64}",
        "role selfish",
        "role one",
        "role two",
        "role lost",
        "role never",
        "role broken",
        "role sneaky",
        "database orphan",
        "database nowhere",
        "database again",
        "database template0",
        "extension no_such_extension in extended",
    }
    # Only the server can tell that a value is wrong; a look sees everything else.
    assert set(done.failures) - set(looked.failures) == {"role broken"}
    assert "role fine" in done.changes
    assert "database good" in done.changes
    assert "extension citext in extended" in done.changes
    # Nothing half done: the role with the broken parameter isn't there at all.
    assert instance.query("SELECT 1 FROM pg_roles WHERE rolname = 'broken'") == []
    assert "banana" in done.failures["role broken"]
    again = run()
    assert again.changes == {}
    assert set(again.failures) == set(done.failures)


def test_default_extension_that_the_server_lacks_is_a_note(inventory, settle, run):
    inventory["pg_default_extensions"].append({"name": "adminpackage"})
    settle()
    assert run().notes == ("the default extension adminpackage is not available on this server",)


def test_quotes_in_values_are_harmless(instance, inventory, settle):
    evil = 'it\'s "quoted"; DROP ROLE app; -- \\ %s {}\nnext line'
    user(inventory, "app").update(comment=evil, parameters={"application_name": evil})
    database(inventory, "shop").update(comment=evil)
    settle()
    query = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'app'"
    assert instance.query(query) == [(evil,)]


def test_standby_is_left_alone(instance, standby, inventory, pillar):
    declared = wanted.load(pillar(**inventory))
    done = converge.converge(declared, standby.server, None)
    assert done.standby
    assert done.changes == {}


def test_primary_that_lost_the_lead_without_knowing(instance, inventory, pillar):
    declared = wanted.load(pillar(**inventory))
    done = converge.converge(declared, instance.server, None, leads=lambda: False)
    assert done.standby
    assert instance.query("SELECT 1 FROM pg_roles WHERE rolname = 'app'") == []


def test_leadership_that_moves_in_between(instance, inventory, run, monkeypatch):
    """From the first statement on, the server refuses to write."""
    real = converge._Run.write

    def write(self, main, changes):
        main.execute("SET default_transaction_read_only = on")
        return real(self, main, changes)

    monkeypatch.setattr(converge._Run, "write", write)
    done = run()
    assert done.changes == {}
    assert "stopped leading at role" in done.failures["the run"]
    assert instance.query("SELECT 1 FROM pg_roles WHERE rolname = 'app'") == []


def test_server_that_goes_away_in_between(instance, inventory, run, monkeypatch):
    real = converge._Run.write

    def write(self, main, changes):
        instance.stop()
        return real(self, main, changes)

    monkeypatch.setattr(converge._Run, "write", write)
    done = run()
    assert done.changes == {}
    assert "went away at role" in done.failures["the run"]
    instance.start()


def test_two_runs_do_not_interleave(instance, run, monkeypatch):
    short = {**deadlines.DEADLINES, "sql.turn": 0.3}
    monkeypatch.setattr(deadlines, "DEADLINES", short)
    with instance.server.impersonated():
        other = instance.server.connect("postgres")
    other.execute("SELECT pg_advisory_lock(%s)", [converge.LOCK])
    with pytest.raises(deadlines.DeadlineExceeded, match="another run"):
        run()
    assert run(test=True).changes, "a look doesn't wait"
    other.close()
    assert run().failures == {}


def test_no_server(instance, inventory, pillar):
    declared = wanted.load(pillar(**inventory))
    with pytest.raises(session.Unreachable, match="doesn't accept"):
        converge.converge(declared, replace(instance.server, port=1), None)


def test_names_that_need_quotes_everywhere(instance, inventory, settle):
    """Accepted names whose privileges PostgreSQL writes in quotes."""
    for name in ("My User", "a=b", "c,d", "e-f@g.h", "ü", "{x}", "%s"):
        inventory["pg_users"].append({"name": name, "roles": ["dbrole_admin"]})
        inventory["pg_databases"].append(
            {"name": name, "owner": name, "revokeconn": True, "schemas": [{"name": name}]}
        )
    inventory["pg_default_privileges"] = ['GRANT SELECT ON TABLES TO "My User"']
    inventory["pg_monitor_username"] = "mo ni=tor"
    settle()


def test_lookup_for_the_pooler(instance, inventory, settle):
    inventory["pgbouncer_auth_query"] = True
    changes = settle()
    assert "function monitor.pgbouncer_auth in template1" in changes
    assert "function monitor.pgbouncer_auth in shop" not in changes, "the copy has it"

    def ask(role, about):
        query = f"SET ROLE {role}; SELECT username, password FROM monitor.pgbouncer_auth('{about}')"
        with instance.server.impersonated(), instance.server.connect("shop") as connection:
            cursor = connection.execute(query)
            cursor.nextset()
            return cursor.fetchall()

    ((name, verifier),) = ask("dbuser_monitor", "app")
    assert name == "app"
    assert verifier.startswith("SCRAM-SHA-256$")
    for secret in ("dbuser_dba", "replicator", "dbrole_readonly", "nobody"):
        assert ask("dbuser_monitor", secret) == []
    for role in ("app", "owner", "dbrole_readonly", "dbrole_admin"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(role, "app")
    instance.query("GRANT EXECUTE ON FUNCTION monitor.pgbouncer_auth TO app", database="shop")
    assert set(settle()) == {"function monitor.pgbouncer_auth in shop"}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask("app", "app")


def test_database_that_nobody_can_enter(instance, inventory, settle, run):
    inventory["pg_databases"].append({"name": "broken"})
    settle()
    oid = instance.query("SELECT oid FROM pg_database WHERE datname = 'broken'")[0][0]
    (instance.data / "base" / str(oid) / "PG_VERSION").unlink()
    database(inventory, "shop")["comment"] = "still looked after"
    done = run()
    assert set(done.failures) == {"database broken"}
    assert set(done.changes) == {"database shop"}


def test_what_an_interrupted_drop_left(instance, inventory, settle, run):
    settle()
    instance.query("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'shop'")
    assert "interrupted" in run().failures["database shop"]
    database(inventory, "shop")["state"] = "absent"
    assert run().failures == {}
