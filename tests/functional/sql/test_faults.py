"""One failure, a lost lead, a lost server: the rest goes on, nothing is half done."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import psycopg
import pytest
from declared import database, user

from pigsty import deadlines
from pigsty.sql import converge, session, wanted

TODAY = date(2026, 1, 1)


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


def test_server_that_goes_away_while_it_is_read(instance, run, monkeypatch):
    real = converge._Run.read

    def read(self, main):
        instance.stop()
        return real(self, main)

    monkeypatch.setattr(converge._Run, "read", read)
    try:
        with pytest.raises(session.Unreachable, match="PostgreSQL went away"):
            run()
    finally:
        instance.start()


def test_a_full_disk_costs_one_database(instance, inventory, run, small_disk):
    instance.query(f"CREATE TABLESPACE small LOCATION '{small_disk.folder}'")
    # With the other strategy PostgreSQL itself notices only when it writes what it has in memory.
    big = {"name": "big", "tablespace": "small", "strategy": "file_copy"}
    inventory["pg_databases"] += [big, {"name": "fine"}]
    done = run()
    assert set(done.failures) == {"database big"}
    assert "No space left on device" in done.failures["database big"]
    assert "database fine" in done.changes
    # Nothing half done: neither a row nor a file of it.
    assert instance.query("SELECT 1 FROM pg_database WHERE datname = 'big'") == []
    assert small_disk.used() < 1
    small_disk.grow()
    done = run()
    assert (done.failures, set(done.changes)) == ({}, {"database big"})
    assert run().changes == {}


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
