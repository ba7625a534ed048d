"""Databases and what is in them on a real server: made, kept, repaired."""

from __future__ import annotations

from datetime import date

from declared import database, user

TODAY = date(2026, 1, 1)


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


def test_database_alone_and_user_alone(instance, inventory, settle):
    settle()
    user(inventory, "app")["connlimit"] = 3
    database(inventory, "shop")["connlimit"] = 7
    inventory["pg_users"].append({"name": "late"})
    changes = settle(only={"databases": ["shop"]})
    assert set(changes) == {"database shop"}
    assert set(settle(only={"users": ["app"]})) == {"role app"}
    assert set(settle()) == {"role late"}


def test_database_is_made_anew(instance, inventory, settle):
    database(inventory, "shop")["schemas"] = ["app"]
    settle()
    instance.query("CREATE TABLE app.item (id int)", database="shop")
    [(old,)] = instance.query("SELECT oid FROM pg_database WHERE datname = 'shop'")
    changes = settle(only={"databases": ["shop"], "recreate": ["shop"]})
    assert changes["database shop"]["recreated"]["old"] == "all its data"
    [(new,)] = instance.query("SELECT oid FROM pg_database WHERE datname = 'shop'")
    assert new != old
    assert instance.query("SELECT to_regclass('app.item')", database="shop") == [(None,)]
    assert settle() == {}
    assert instance.query("SELECT datname FROM pg_database WHERE datname LIKE '%~%'") == []


def test_database_that_can_not_be_made_anew_stays(instance, inventory, settle, run):
    settle()
    instance.query("CREATE TABLE kept ()", database="shop")
    database(inventory, "shop").update(locale="no_SUCH.locale", template="template0")
    done = run(only={"databases": ["shop"], "recreate": ["shop"]})
    assert "locale" in done.failures["database shop"]
    assert instance.query("SELECT to_regclass('kept')::text", database="shop") == [("kept",)]


def test_the_inventory_alone_makes_nothing_anew(instance, inventory, settle, run):
    settle()
    instance.query("CREATE TABLE kept ()", database="shop")
    database(inventory, "shop")["state"] = "recreate"
    assert settle() == {}
    assert "--recreate" in run().notes[0]
    assert instance.query("SELECT to_regclass('kept')::text", database="shop") == [("kept",)]
